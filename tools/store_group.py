"""A store of one's own in the laboratory: a server with replicas and the sentinels that watch them, as processes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import valkey

from gateway.store.embedded import find_server
from tools.ports import free_port

NAME = "pombo"  # of the group, as the sentinels know it
START_S = 15.0
LOOK_S = 0.05


class GroupError(Exception):
    """A server does not do what it should; the text says which."""


class Server:
    """One server or sentinel process and its directory."""

    def __init__(self, directory: Path, name: str, password: str = "") -> None:
        self.name, self.directory, self.port = name, directory / name, free_port()
        self._password = password
        self.process: subprocess.Popen[bytes] | None = None
        self.directory.mkdir(parents=True, exist_ok=True)

    def start(self, *words: str) -> None:
        """Begin; returns once it answers."""
        with open(self.directory / "out", "ab") as out:
            self.process = subprocess.Popen(
                [find_server(), *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory,
                start_new_session=True,
            )  # fmt: skip
        self.until(lambda: self.ask("PING"), "answers")

    def ask(self, *words: str) -> Any:
        """The answer to a command; None when there is none."""
        client: Any = valkey.Valkey(port=self.port, password=self._password or None, socket_timeout=2.0)
        try:
            return client.execute_command(*words)
        except (valkey.ValkeyError, OSError):
            return None
        finally:
            client.close()

    def until(self, question: Any, what: str, patience_s: float = START_S) -> None:
        """Look again and again until the question is answered with yes."""
        end = time.monotonic() + patience_s
        while not question():
            if time.monotonic() > end:
                raise GroupError(f"not within {patience_s:g} s: {self.name} {what}")
            time.sleep(LOOK_S)

    def info(self) -> bytes:
        """What INFO says of replication."""
        said = self.ask("INFO", "replication")
        if isinstance(said, dict):
            return "\n".join(f"{key}:{value}" for key, value in said.items()).encode()
        return said or b""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9; also for one that is frozen."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class StoreGroup:
    """One master, some replicas and the sentinels over them; or a single server, with neither."""

    def __init__(
        self, directory: Path, *, replicas: int = 1, sentinels: int = 1, down_after_ms: int = 1000, password: str = "",
        fsync: str = "always",
    ) -> None:  # fmt: skip
        self.down_after_ms, self._fsync, self._password = down_after_ms, fsync, password
        self.servers = [Server(directory, f"store{number}", password) for number in range(replicas + 1)]
        self.sentinels = [Server(directory, f"sentinel{number}", password) for number in range(sentinels)]
        self._quorum = sentinels // 2 + 1

    @property
    def url(self) -> str:
        """As `store.url` of a gateway."""
        login = f":{self._password}@" if self._password else ""
        if not self.sentinels:
            return f"redis://{login}127.0.0.1:{self.servers[0].port}/0"
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"sentinel://{login}{hosts}/{NAME}"

    def start(self) -> None:
        """Returns once every replica has the master's data and every sentinel knows the replicas."""
        first, *others = self.servers
        self.start_server(first)
        for one in others:
            self.start_server(one, first)
            one.until(lambda one=one: b"master_link_status:up" in one.info(), "follows the master")
        for one in self.sentinels:
            config = one.directory / "sentinel.conf"
            config.write_text(self._sentinel_config(one, first.port))
            one.start(str(config), "--sentinel")
        for one in self.sentinels:
            one.until(lambda one=one: self._knows_all(one), "knows the replicas")

    def start_server(self, server: Server, master: Server | None = None) -> None:
        """Begin, or begin again over the same files, as a replica of `master` where one is given."""
        words = [
            "--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(server.directory), "--appendonly", "yes",
            "--appendfsync", self._fsync, "--save", "", "--repl-diskless-sync-delay", "0",
        ]  # fmt: skip
        if self._password:
            words += ["--requirepass", self._password, "--masterauth", self._password]
        if master is not None:
            words += ["--replicaof", f"127.0.0.1 {master.port}"]
        server.start(*words)

    def _sentinel_config(self, sentinel: Server, master_port: int) -> str:
        lines = [
            f"port {sentinel.port}",
            "bind 127.0.0.1",
            f"dir {sentinel.directory}",
            f"sentinel monitor {NAME} 127.0.0.1 {master_port} {self._quorum}",
            f"sentinel down-after-milliseconds {NAME} {self.down_after_ms}",
            f"sentinel failover-timeout {NAME} 6000",
        ]
        if self._password:
            lines += [f"requirepass {self._password}", f"sentinel auth-pass {NAME} {self._password}"]
            lines += [f"sentinel sentinel-pass {self._password}"]
        return "\n".join([*lines, ""])

    def _knows_all(self, sentinel: Server) -> bool:
        replicas = sentinel.ask("SENTINEL", "replicas", NAME)
        others = sentinel.ask("SENTINEL", "sentinels", NAME)
        return (
            replicas is not None
            and len(replicas) == len(self.servers) - 1
            and others is not None
            and len(others) == len(self.sentinels) - 1
        )

    def master(self) -> Server | None:
        """The server that the first living sentinel names; None when none does."""
        for sentinel in self.sentinels:
            if sentinel.alive and (found := sentinel.ask("SENTINEL", "get-master-addr-by-name", NAME)):
                return next((one for one in self.servers if one.port == int(found[1])), None)
        return self.servers[0] if not self.sentinels else None

    def stop(self) -> None:
        """Nothing of it is left running."""
        for one in [*self.sentinels, *self.servers]:
            with contextlib.suppress(ProcessLookupError):
                one.kill()
