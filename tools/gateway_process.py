"""The gateway as a process of its own, with the store it starts: to be started, killed, frozen and looked at."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from gateway.store.embedded import socket_path

CHECKOUT = Path(__file__).resolve().parents[1]
STOP_S = 15.0


def store_pid(directory: Path) -> int:
    """The process that answers on a store directory's socket; 0 when none does."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(1.0)
        try:
            link.connect(socket_path(directory))
            link.sendall(b"INFO server\r\n")
            said = b""
            while b"process_id:" not in said or not said.endswith(b"\r\n"):
                more = link.recv(65536)
                if not more:
                    break
                said += more
        except OSError:
            return 0
    found = re.search(rb"process_id:(\d+)", said)
    return int(found[1]) if found else 0


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken so far. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class GatewayProcess:
    """One node in one directory. Its log is `gateway.log` there, over all its lives."""

    def __init__(self, directory: Path, name: str = "pombo") -> None:
        """name: of its configuration and log, where a directory holds two."""
        self.directory = directory
        self.store_directory = directory / "store"
        self.config_path = directory / f"{name}.yaml"
        self._log_path = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._stores: set[int] = set()  # every store process that was seen
        self.workers = 1  # more: `pombo run --workers`

    def configure(self, configuration: dict[str, Any] | str) -> None:
        """Write the configuration file: a mapping, or the words themselves."""
        words = configuration if isinstance(configuration, str) else yaml.safe_dump(configuration, sort_keys=False)
        self.config_path.touch(mode=0o600)
        self.config_path.write_text(words)

    def start(self) -> None:
        """Begin; returns before the node is ready."""
        assert not self.alive
        programs = Path(sys.executable).parent
        command = [str(programs / "twistd"), "-ny", str(CHECKOUT / "twistd.tac"), "--pidfile="]
        if self.workers > 1:
            command = [str(programs / "pombo"), "run", str(self.config_path), "--workers", str(self.workers)]
        environ = {**os.environ, "POMBO_CONFIG": str(self.config_path), "PYTHONUNBUFFERED": "1"}
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                command, cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll() if self._process is not None else None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Everything it wrote, in all its lives."""
        try:
            return self._log_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def use(self) -> tuple[float, int] | None:
        """Processor seconds that this life has taken, and lines that all lives have logged; None when it is dead."""
        return (cpu_s(self.pid), self.log().count("\n")) if self.alive else None

    def worker_pids(self) -> list[int]:
        """The processes of its workers, in the order in which they were started; none of a gateway that has none.
        Linux."""
        own = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        children = [int(one) for one in own.read_text().split()] if self.alive else []
        return [one for one in children if not _is_store(one)] if self.workers > 1 else []

    # -- the ends of a gateway

    def kill_worker(self, pid: int) -> None:
        """kill -9 of one of its workers."""
        assert pid in self.worker_pids()
        os.kill(pid, signal.SIGKILL)

    def kill(self, workers: bool = True) -> None:
        """kill -9. workers: its workers, too; else they are left to notice."""
        assert self._process is not None
        pids = self.worker_pids() if workers else []
        self._process.kill()
        self._process.wait()
        for pid in pids:
            _signal(pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to stop, as a service manager does; returns before it has."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    # -- its store

    def find_store(self) -> int:
        """The store's process, 0 when none answers."""
        pid = store_pid(self.store_directory)
        if pid:
            self._stores.add(pid)
        return pid

    def kill_store(self) -> None:
        """kill -9 of the store."""
        pid = self.find_store()
        assert pid
        os.kill(pid, signal.SIGKILL)

    def freeze_store(self) -> int:
        """SIGSTOP: it keeps its connections and answers nothing. Thaw it with SIGCONT to the pid."""
        pid = self.find_store()
        assert pid
        os.kill(pid, signal.SIGSTOP)
        return pid

    # -- cleaning up

    def clean_up(self) -> None:
        """Leave no process behind, whatever state things are in."""
        for pid in self._stores:
            _signal(pid, signal.SIGCONT)
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.find_store()  # it may have been started after we looked last, and outlives its gateway
        for pid in self._stores:
            if _is_store(pid):
                _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_store(pid: int) -> bool:
    """Not another process that was given the number since."""
    try:
        words = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"valkey" in words or b"redis" in words
