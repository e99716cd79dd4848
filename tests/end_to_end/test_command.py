"""The command `pombo` against a real node: what docs/command.md shows is what is printed, and what a reload leaves
alone."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.node import CHECKOUT
from tests.end_to_end.stage import KEY, OPERATOR_PASSWORD, PASSWORD, Stage
from tools import cli

PAGE: Path = CHECKOUT / "docs/command.md"
REWRITE = "POMBO_REWRITE_PAGE"  # set it to write the page anew; then read what has changed
BLOCK = re.compile(r"(?<=^```\n)(\$ .*?)(?=^```)", re.MULTILINE | re.DOTALL)
VARYING = (
    (r"\b\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d\.\d{3}Z)?", "DAY"),
    (r"\b\d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r"\+?\b\d+(\.\d+)? s\b", "SPAN"),
    (r"\b[0-9a-z]{10}0000000[0-9a-z]\b", "ID"),
    (r"(127\.0\.0\.1):\d{5}", r"\1:PORT"),
    (r"\bscrypt\$\S+", "HASH"),
    (r"[ \t]+", " "),
)


def alike(text: str) -> str:
    """What of an output is the same each time."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


class Shell:
    """As much of one as the page needs, with `pombo` in this process."""

    def __init__(self, stage: Stage, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture, self._patch = capture, patch
        self._directory = stage.directory
        self._ports = {str(stage.smpp_port): "2775", str(stage.operator_port): "2776", str(stage.http_port): "8081",
                       str(stage.provider_port): "8080"}  # fmt: skip
        patch.chdir(stage.directory)
        patch.setenv("POMBO_CONFIG", "pombo.yaml")

    async def run(self, line: str) -> str:
        """What a line prints on both outputs."""
        if line.startswith("sed "):
            for port, usual in self._ports.items():
                line = line.replace(usual, port)
            subprocess.run(line, shell=True, check=True)
            return ""
        line, _, head = line.partition(" | head -")
        if typed := re.match(r"echo (\w+) \| ", line):
            self._patch.setattr("sys.stdin", io.StringIO(typed[1] + "\n"))
            line = line[typed.end() :]
        words = shlex.split(line)
        if "=" in words[0]:
            self._patch.setenv(*words.pop(0).split("=", 1))
        await deferToThread(cli.main, words[1:])
        said = self._capture.readouterr()
        self._patch.setenv("POMBO_CONFIG", "pombo.yaml")
        out = "".join(said.out.splitlines(keepends=True)[: int(head)] if head else said.out) + said.err
        for port, usual in self._ports.items():
            out = out.replace(port, usual)
        return out.replace(f"{self._directory}/store", "var/store").replace(str(self._directory), "/etc/pombo")


def shown(page: str) -> Iterator[list[tuple[str, str]]]:
    """(line, output) of the commands of every block that shows what is printed."""
    for block in re.findall(BLOCK, page):
        yield re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


@in_reactor
async def test_the_page_of_the_command_shows_what_it_prints(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (CHECKOUT / "config/pombo.yaml").read_text()
    for usual, port in (("2775", stage.smpp_port), ("2776", stage.operator_port), ("8080", stage.provider_port),
                        ("8081", stage.http_port)):  # fmt: skip
        words = words.replace(f":{usual}", f":{port}")
    words = words.replace("var/store", str(stage.gateway.store_directory))
    for password in (PASSWORD, OPERATOR_PASSWORD, KEY):
        words = words.replace('"changeme"', password, 1)
    stage.settings = words  # type: ignore[assignment]
    stage.node._session.headers.pop("Authorization")
    await stage.start()
    stage.provider.people.add("5511988880001")
    biller = await stage.bind()
    await biller.submit("5511966660003", "Ola Caio, sua fatura vence amanha.")
    await stage.until(lambda: biller.receipts, "the receipt of the message whose trace is shown")
    shell, page = Shell(stage, capsys, monkeypatch), PAGE.read_text()
    blocks = []
    for block in shown(page):
        said = [(line, await shell.run(line)) for line, _ in block]
        if not os.environ.get(REWRITE):
            assert [(line, alike(output)) for line, output in said] == [(line, alike(output)) for line, output in block]
        blocks.append("".join(f"$ {line}\n{output}" for line, output in said))
    if os.environ.get(REWRITE):
        PAGE.write_text(BLOCK.sub(lambda _: blocks.pop(0), page))
