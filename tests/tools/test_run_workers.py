"""What `pombo run --workers` does before there is a worker."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

import pytest

from gateway.workers.board import MOST_WORKERS
from tools import cli, run_workers
from tools.ports import free_port
from tools.run_workers import CannotShare, how_many, open_listeners


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("2", 2), (str(MOST_WORKERS), MOST_WORKERS)])
def test_workers_are_a_number(text: str, number: int) -> None:
    assert how_many(text) == number


def test_auto_is_one_for_each_processor() -> None:
    assert how_many("auto") == min(len(os.sched_getaffinity(0)), MOST_WORKERS)


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "65", "²", "1.5"])
def test_anything_else_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        how_many(text)
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["run", f"--workers={text}"])
    assert "a number from 1 to 64, or auto" in capsys.readouterr().err


def test_one_worker_is_the_gateway_as_it_is_without_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("tools.run.run_gateway", lambda path, environ: ran.append("gateway") or 0)
    monkeypatch.setattr(run_workers, "run_workers", lambda path, environ, n: ran.append(f"{n} workers") or 0)
    for words in (["run", "x.yaml"], ["run", "x.yaml", "--workers", "1"], ["run", "--workers", "3", "x.yaml"]):
        assert cli.main(words) == 0
    assert ran == ["gateway", "gateway", "3 workers"]


def test_addresses_are_opened_once_and_nobody_has_to_take_at_once() -> None:
    first, second = free_port(), free_port()
    opened = open_listeners([f"tcp:{first}:interface=127.0.0.1", f"tcp:{second}:interface=\\:\\:1:backlog=7"])
    try:
        assert [one.family for one in opened.values()] == [socket.AF_INET, socket.AF_INET6]
        with socket.create_connection(("127.0.0.1", first), 5), socket.create_connection(("::1", second), 5):
            pass
        assert not any(one.getblocking() for one in opened.values())
    finally:
        for one in opened.values():
            one.close()


def test_an_address_that_is_taken_leaves_none_open() -> None:
    free = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotShare, match=f"cannot listen on 'tcp:{port}:interface=127.0.0.1': Address already"):
            open_listeners([f"tcp:{free}:interface=127.0.0.1", f"tcp:{port}:interface=127.0.0.1"])
    with socket.socket() as again:
        again.bind(("127.0.0.1", free))


def test_an_address_that_several_cannot_listen_on_is_told() -> None:
    with pytest.raises(CannotShare, match="several workers listen on tcp, tcp6 and ssl only"):
        open_listeners(["unix:/tmp/pombo.sock"])


def test_what_cannot_be_run_ends_with_1_and_leaves_no_store_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pombo.yaml"
    assert run_workers.run_workers(str(path), {}, 2) == 1
    assert str(path) in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path.write_text(
            f"store: {{directory: {tmp_path / 'store'}}}\n"
            f"smpp_server: {{listen: ['tcp:{taken.getsockname()[1]}:interface=127.0.0.1'], accounts: []}}\n"
            "smsc_client: [{name: operator, connect: 'tcp:127.0.0.1:1', system_id: a, password: b}]\n"
            "routes: [{name: default, channels: [operator]}]\n"
            f"http: {{listen: ['tcp:{free_port()}:interface=127.0.0.1']}}\n"
        )
        assert run_workers.run_workers(str(path), {}, 2) == 1
    assert capsys.readouterr().err.startswith("pombo: cannot listen on")
    assert not (tmp_path / "store" / "valkey.sock").exists()
