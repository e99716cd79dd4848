"""The commands of the pages, and a machine of their own to run them on: folders, ports and processes of one test.

A block of ```sh is run as it stands; one of ```console has its output compared. A block that cannot be run here has a
comment before it that says why: `<!-- not run: … -->`. What stands for the machine is only that paths and ports are
others, and that `pombo run` and `pombo simulate`, which stay in a terminal of their own, go on in the background.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tools.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- not run: (.+?) -->\n)?^```(sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ABSOLUTE = re.compile(r"(?<![\w./$}])/(opt|etc|var/lib|var/backups|usr/local/bin)(?=/|\b)")
PORTS = ("2775", "2776", "8080", "8081")

SHELL = r"""
set -eu
answers() { for _ in $(seq 200); do "$PYTHON" -c "$1" "$2" 2>/dev/null && return; sleep 0.1; done; return 1; }
listens() { answers 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1"; }
ready() { answers 'import sys, urllib.request as web; web.urlopen(sys.argv[1], timeout=2)' "$1/readyz"; }
here() { for port in $PORTS; do sed -i "s/:${port%=*}\b/:${port#*=}/g" "$1"; done; }
python3() {
  "$PYTHON" "$@"
  [ "$1 $2" = "-m venv" ] || return 0
  echo "import sys; sys.path.insert(0, '$LIBRARIES')" > "$(echo "$3"/lib/python3*/site-packages)/libraries.pth"
}
played() {
  port=$1; shift
  command pombo "$@" --listen "tcp:$port:interface=127.0.0.1" >> "$LOG" 2>&1 & listens "$port"
}
pombo() {
  case "$1 ${2:-}" in
    run*) command pombo "$@" >> "$LOG" 2>&1 & ready "http://127.0.0.1:$HTTP" || { cat "$LOG"; return 1; } ;;
    "simulate smsc") played "$OPERATOR" "$@" ;;
    "simulate whatsapp") played "$PROVIDER" "$@" ;;
    "simulate esme") command pombo "$@" --connect "tcp:127.0.0.1:$SMPP" ;;
    init*) command pombo "$@" && here "$2/pombo.yaml" ;;
    *) command pombo "$@" ;;
  esac
}
"""


class Block(NamedTuple):
    page: str
    line: int
    kind: str  # sh | console
    text: str
    not_run: str  # why, "" when it is

    @property
    def commands(self) -> str:
        """Without the output of a console."""
        lines = self.text.splitlines()
        return self.text if self.kind == "sh" else "\n".join(one[2:] for one in lines if one.startswith("$ ")) + "\n"

    @property
    def output(self) -> str:
        return "\n".join(one for one in self.text.splitlines() if not one.startswith("$ ")) + "\n"


def blocks(page: str) -> Iterator[Block]:
    """The blocks of commands of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield Block(page, text[: found.start(3)].count("\n"), found[2], found[3], found[1] or "")


class Machine:
    """One machine: `root` holds its folders, `home` is where its user stands."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        self.root, self.home, self.log = directory, directory / "home", directory / "log"
        for folder in ("home", "etc/bash_completion.d", "opt", "usr/local/bin", "var/lib", "var/backups"):
            (directory / folder).mkdir(parents=True)
        shutil.copy(wheel, self.home)
        self.ports = {port: str(free_port()) for port in PORTS}
        self._groups: list[int] = []

    def here(self, text: str) -> str:
        """A text with this machine's paths and ports."""
        text = ABSOLUTE.sub(lambda found: f"{self.root}/{found[1]}", text)
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.ports[found[1]], text)

    def edit(self, path: str, *changes: tuple[str, str]) -> None:
        """What a reader is asked to change in a file."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        for before, after in changes:
            assert self.here(before) in text, before
            text = text.replace(self.here(before), self.here(after), 1)
        file.write_text(text, encoding="utf-8")

    def run(self, script: str, cwd: Path | None = None, config: str = "", allowed: tuple[int, ...] = (0,)) -> str:
        """Run commands as they stand in a page; their output. What stays in the background lives until `close`.
        config: POMBO_CONFIG, where it is not the service's. allowed: exit statuses."""
        environ = {
            **{name: value for name, value in os.environ.items() if name not in ("POMBO_CONFIG", "VIRTUAL_ENV")},
            "HOME": str(self.home), "PATH": f"{self.root}/usr/local/bin:{os.environ['PATH']}",
            "PYTHON": getattr(sys, "_base_executable", sys.executable), "LIBRARIES": sysconfig.get_paths()["purelib"],
            "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "LOG": str(self.log),
            "POMBO_CONFIG": config or f"{self.root}/etc/pombo/pombo.yaml", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1",
            "PORTS": " ".join(f"{port}={ours}" for port, ours in self.ports.items()),
            **dict(zip(("SMPP", "OPERATOR", "PROVIDER", "HTTP"), self.ports.values(), strict=True)),
        }  # fmt: skip
        process = subprocess.Popen(
            ["bash", "-c", SHELL + self.here(script)], cwd=cwd or self.home, env=environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._groups.append(process.pid)
        said, _ = process.communicate(timeout=90)
        assert process.returncode in allowed, f"{script}\n{said}\n{self.log.read_text() if self.log.exists() else ''}"
        return said

    def run_blocks(self, found: Iterable[Block], cwd: Path | None = None, config: str = "") -> None:
        for block in found:
            if block.not_run:
                continue
            console = block.kind == "console"
            said = self.run(block.commands, cwd, config, (0, 1) if console else (0,))  # 1: the answer is no
            assert not console or said == self.here(block.output)

    def close(self) -> None:
        """End what still runs, and wait until it has."""
        for group in self._groups:
            for kind in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(group, kind)
                except ProcessLookupError:
                    break
                for _ in range(100):
                    try:
                        os.killpg(group, 0)
                    except ProcessLookupError:
                        break
                    signal.sigtimedwait([], 0.1)
        self._groups = []
