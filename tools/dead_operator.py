"""An operator that nobody can reach while many messages wait, and what that costs: the long form of a test (R3).

python -m tools.dead_operator --count 100000 --down 1h

Starts a gateway on an embedded store in a temporary directory, submits, leaves it alone until the messages expire, and
prints processor time, lines of the log and receipts. Exit status 0 when the gateway took less than a tenth of a core
and less than a line a second, and each message ended in one EXPIRED receipt. Linux, for it reads /proc.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import valkey
import yaml

from gateway.store.embedded import socket_path
from tools.demo_stage import CHECKOUT, short_directory
from tools.gateway_process import cpu_s
from tools.node import Node, NodeError
from tools.ports import free_port
from tools.units import seconds

START_S, STOP_S, MARGIN_S = 30.0, 15.0, 5.0
LOOK_S = 1.0
LOG_LINES = 20
MOST_CPU, MOST_LINES = 0.1, 1.0  # of a core; a second
_RECEIPTS = re.compile(r'^pombo_receipts_total\{account="billing",state="(\w+)"\} (\S+)', re.MULTILINE)
_DEPTH = re.compile(r'^pombo_queue_depth\{channel="operator",priority="normal"\} (\S+)', re.MULTILINE)


class Run:
    """One gateway and one billing system. `close` leaves no process and no file behind."""

    def __init__(self, count: int, down_s: float) -> None:
        self.count, self.down_s = count, down_s
        self.directory = short_directory()
        self.smpp_port, http_port, self._operator_port = free_port(), free_port(), free_port()
        self.node = Node(f"http://127.0.0.1:{http_port}")
        self._password = secrets.token_hex(4)
        self._config = {
            "node": "dead-operator",
            "store": {"url": "embedded", "directory": str(self.directory / "store"), "max_messages": count * 2},
            "smpp_server": {
                "listen": [f"tcp:{self.smpp_port}:interface=127.0.0.1"],
                "default_validity": f"{down_s:g}s",
                "inactivity_timeout": 0,  # the billing system only listens while the messages wait
                "accounts": [
                    {
                        "system_id": "billing", "password": self._password, "default_source": "28940",
                        "throughput": "100000/s", "window": 1000,
                    }
                ],
            },
            "smsc_client": [
                {
                    "name": "operator", "connect": f"tcp:127.0.0.1:{self._operator_port}", "system_id": "pombo",
                    "password": self._password,
                }
            ],
            "routes": [{"name": "default", "channels": ["operator"]}],
            "http": {"listen": [f"tcp:{http_port}:interface=127.0.0.1"]},
        }  # fmt: skip
        self._processes: list[subprocess.Popen[bytes]] = []

    def _spawn(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "POMBO_CONFIG": str(self.directory / "pombo.yaml"), "PYTHONUNBUFFERED": "1"}
        with open(self.directory / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                words, cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    def start(self) -> None:
        """The gateway serves when this returns; its operator is away."""
        path = self.directory / "pombo.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(self._config))
        twistd = Path(sys.executable).parent / "twistd"
        self.gateway = self._spawn("gateway", str(twistd), "-ny", str(CHECKOUT / "twistd.tac"), "--pidfile=")
        _until(self._serves, START_S, "the gateway is not ready")
        link = valkey.Valkey(unix_socket_path=socket_path(self.directory / "store"))
        self.store_pid = int(link.info("server")["process_id"])  # type: ignore[index]

    def _serves(self) -> bool:
        try:
            return self.node.ready()
        except NodeError:
            return False

    def submit(self) -> None:
        """All messages wait in the operator's queue when this returns."""
        self.biller = self._spawn(
            "biller", sys.executable, "-m", "tools.cli", "simulate", "esme",
            "--connect", f"tcp:127.0.0.1:{self.smpp_port}", "--password", self._password, "--to", "551197.......",
            "--count", str(self.count), "--window", "200", "--wait", f"{self.down_s * 2 + 600:g}s",
        )  # fmt: skip
        _until(lambda: self.waiting() >= self.count, self.down_s, "the messages were not accepted in time")

    def waiting(self) -> int:
        """How many messages are in the operator's queue."""
        found = _DEPTH.search(self._page())
        return int(float(found[1])) if found else 0

    def _page(self) -> str:
        _, page = self.node.ask("GET", "/metrics")
        return str(page)

    def receipts(self) -> dict[str, int]:
        """How many of each state the billing system has acknowledged."""
        return {state: int(float(count)) for state, count in _RECEIPTS.findall(self._page())}

    def told(self) -> bool:
        """Has the billing system acknowledged a receipt for every message?"""
        return sum(self.receipts().values()) >= self.count

    def lines(self) -> int:
        return (self.directory / "gateway.log").read_bytes().count(b"\n")

    def cpu_s(self) -> tuple[float, float]:
        """Processor time that gateway and store have taken so far."""
        return cpu_s(self.gateway.pid), cpu_s(self.store_pid)

    def close(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def _tail(run: Run) -> str:
    """The ends of both logs."""
    logs = [run.directory / f"{name}.log" for name in ("gateway", "biller")]
    texts = [log.read_text("utf-8", "replace") for log in logs if log.exists()]
    return "\n".join(line for text in texts for line in text.splitlines()[-LOG_LINES:])


def _until(question: Callable[[], Any], most_s: float, trouble: str) -> None:
    end = time.monotonic() + most_s
    while not question():
        if time.monotonic() > end:
            raise SystemExit(f"dead_operator: {trouble} within {most_s:g} s")
        time.sleep(min(LOOK_S, most_s / 50))


def measure(run: Run) -> bool:
    """The whole run, told line by line; True when it went as it should."""
    run.start()
    began = time.monotonic()
    run.submit()
    submitted = time.monotonic()
    left_s = run.down_s - (submitted - began) - 2 * MARGIN_S
    if left_s < MARGIN_S:
        raise SystemExit(f"dead_operator: submitting took {submitted - began:.0f} s; give a longer --down")
    print(f"{run.count} messages wait after {submitted - began:.1f} s; left alone for {left_s:.0f} s", flush=True)
    time.sleep(MARGIN_S)
    before, lines = run.cpu_s(), run.lines()
    time.sleep(left_s)
    after, said = run.cpu_s(), run.lines() - lines
    gateway, store = ((b - a) / left_s for a, b in zip(before, after, strict=True))
    print(f"while it waits: gateway {gateway:.1%} of a core, store {store:.1%}, {said / left_s:.3f} lines/s ({said})")
    expiring = time.monotonic()
    _until(run.told, run.down_s + 600.0, "not every message ended")
    print(f"all ended {time.monotonic() - expiring:.1f} s later: {run.receipts()}", flush=True)
    complete = run.biller.wait(60) == 0  # it listens a little longer for receipts that should not come
    print(f"the billing system {'has exactly one receipt for each' if complete else 'misses some, or has some twice'}:")
    print((run.directory / "biller.log").read_text("utf-8", "replace"))
    return complete and gateway < MOST_CPU and said / left_s < MOST_LINES and run.receipts() == {"expired": run.count}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="messages (%(default)s)")
    parser.add_argument("--down", type=seconds, default="1h", metavar="T", help="until they expire (%(default)s)")
    options = parser.parse_args()
    run = Run(options.count, options.down)
    try:
        return 0 if measure(run) else 1
    except SystemExit as trouble:
        print(_tail(run))
        raise trouble
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(main())
