"""smppbench: a load tool in one C file that plays both ends. Found, built, run, and what it says at its end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tools.gateway_process import CHECKOUT
from tools.ports import free_port

USUAL = CHECKOUT.parent / "shared" / "bench" / "smppbench.c"
VARIABLE = "POMBO_BENCH"
PATIENCE_S = 1800.0  # for one load
CEILING_COUNT = 500_000
LARGE = ("--sessions", "4", "--window", "100")
LISTENS_S = 5.0

# The line that writes registered_delivery, replace_if_present, data_coding and sm_default_msg_id.
_CODING_0 = "*p++ = o_dlr ? 1 : 0; *p++ = 0; *p++ = 0; *p++ = 0;"
_CODING_8 = "*p++ = o_dlr ? 1 : 0; *p++ = 0; *p++ = 8; *p++ = 0;"
# What writes the system_id of a session's bind. As a format it may name the session's number.
_USER = 'n += snprintf((char *)b + n, 17, "%s", o_user) + 1;'
_USER_AND_NUMBER = "n += snprintf((char *)b + n, 17, o_user, i) + 1;"


class NoTool(Exception):
    """The load tool cannot be used; the text says what would help."""


class LoadError(Exception):
    """A load did not come to its end as it should."""


def find_source(given: str | None, environ: Mapping[str, str]) -> Path:
    """The tool's source file: as given, else POMBO_BENCH, else beside the checkout. NoTool when there is none."""
    path = Path(given or environ.get(VARIABLE) or USUAL)
    if path.is_file():
        return path
    named = "" if path == USUAL else f" {path} is none."
    raise NoTool(
        f"the load tool's source, smppbench.c, is missing.{named} It is no part of this repository: put it to"
        f" ../shared/bench/smppbench.c beside the checkout, or name it: {VARIABLE}=/path/to/smppbench.c make bench"
    )


def with_ucs2(source: str) -> str | None:
    """The source with data_coding 8 in every submit_sm; None where it writes that octet otherwise than we know."""
    return source.replace(_CODING_0, _CODING_8) if source.count(_CODING_0) == 1 else None


def with_numbered_users(source: str) -> str | None:
    """The source with a --user in which %d stands for the number of the session, from 0: one process is as many
    accounts as it has sessions. None where it writes the bind otherwise than we know."""
    return source.replace(_USER, _USER_AND_NUMBER) if source.count(_USER) == 1 else None


class LoadTool(msgspec.Struct, frozen=True):
    """The built tool. ucs2: the same with data_coding 8; numbered: with numbers in its users' names. None where one
    cannot be made."""

    path: Path
    ucs2: Path | None
    numbered: Path | None = None

    @classmethod
    def build(cls, source: Path, directory: Path, environ: Mapping[str, str]) -> LoadTool:
        """Compile into a directory. NoTool without a compiler, or when it refuses."""
        compiler = shlex.split(environ.get("CC") or "cc")
        if shutil.which(compiler[0]) is None:
            raise NoTool(f"the C compiler {compiler[0]} is missing; install gcc or clang, or name one in CC")
        words = source.read_text("utf-8")
        tool = _compile(compiler, words, directory / "smppbench")
        others = [
            _compile(compiler, changed, directory / name) if changed else None
            for name, changed in (
                ("smppbench-ucs2", with_ucs2(words)),
                ("smppbench-numbered", with_numbered_users(words)),
            )
        ]
        return cls(tool, *others)

    def esme(self, port: int, count: int, *options: str, ucs2: bool = False, numbered: bool = False) -> Esme:
        """A billing system that begins at once. User and password are the tool's own: bench, bench."""
        path = self.ucs2 if ucs2 else self.numbered if numbered else self.path
        if path is None:
            raise LoadError("this version of smppbench cannot be changed as this needs it")
        return Esme(_started(path, "esme", "--port", str(port), "--count", str(count), *options))

    def operator(self, port: int, *options: str) -> Operator:
        """A message centre that listens when this returns."""
        operator = Operator(_started(self.path, "smsc", "--listen", str(port), *options))
        operator.await_listening(port)
        return operator

    def ceiling(self) -> float:
        """T: the receipts/s the tool makes with nothing between its two roles."""
        port = free_port()
        operator = self.operator(port, "--dlr-window", "2000")
        try:
            return float(self.esme(port, CEILING_COUNT, "--dlr", *LARGE).wait()["receipt_per_s"])
        finally:
            operator.end()


class _Role:
    """A process of the tool, which prints one line of JSON at its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait(self, most_s: float = PATIENCE_S) -> dict[str, Any]:
        """What it says at its end."""
        try:
            told, complaint = self.process.communicate(timeout=most_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise LoadError(f"the load tool did not end within {most_s:g} s") from None
        lines = [line for line in told.splitlines() if line.startswith("{")]
        if not lines:
            raise LoadError(f"the load tool ended with status {self.process.returncode}: {complaint.strip()[-300:]}")
        said: dict[str, Any] = json.loads(lines[-1])
        return said

    def end(self) -> dict[str, Any]:
        """Stop it; what it says then."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(10.0)


class Esme(_Role):
    """The billing system. Its status is 1 when some submits were not answered, which its line says as well."""


class Operator(_Role):
    """The message centre; it goes on until it is ended."""

    def await_listening(self, port: int) -> None:
        end = time.monotonic() + LISTENS_S
        while f":{port:04X} " not in _listeners():
            if self.process.poll() is not None or time.monotonic() > end:
                raise LoadError(f"the load tool does not listen on port {port}")
            time.sleep(0.01)


def _listeners() -> str:
    """Local addresses of sockets, without connecting to one: a connection would be counted."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return " ".join(row[1] for row in rows if row[3] == "0A") + " "


def _started(path: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(path), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _compile(compiler: list[str], words: str, target: Path) -> Path:
    command = [*compiler, "-O2", "-o", str(target), "-x", "c", "-"]
    done = subprocess.run(command, input=words, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise NoTool(f"smppbench.c does not compile with {compiler[0]}: {done.stderr.strip()[-500:]}")
    return target
