"""What the figures were taken on and with. Linux."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from gateway.store.embedded import find_server
from tools.gateway_process import CHECKOUT

LIBRARIES = ("Twisted", "msgspec", "hiredis")
SYNCS, BLOCK = 200, 4096
IN_MEMORY = ("tmpfs", "ramfs")


def facts(room: Path) -> dict[str, str]:
    """Machine and versions, by what they are. room: where the stores are written."""
    memory = int(_value(Path("/proc/meminfo").read_text(), "MemTotal").split()[0]) / 1e6
    system = _value(Path("/etc/os-release").read_text(), "PRETTY_NAME", "=").strip('"')
    return {
        "Processor": f"{os.cpu_count()} x {_value(Path('/proc/cpuinfo').read_text(), 'model name')}, {memory:.0f} GB",
        "System": f"{system}, Linux {platform.release()}",
        "Disk of the store": f"{file_system(room)}, fdatasync of 4 KiB {sync_ms(room):.2f} ms (p50)",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "Store": _said(find_server(), "--version").partition(" malloc")[0],
        "Pombo": f"{version('pombo')}, {_said('git', '-C', str(CHECKOUT), 'describe', '--always', '--dirty')}",
    }


def file_system(room: Path) -> str:
    """The kind of file system a directory is on."""
    return _said("stat", "--file-system", "--format=%T", str(room))


def sync_ms(room: Path) -> float:
    """What a small write takes until it is on the disk."""
    path = room / f"pombo-bench-sync-{os.getpid()}"
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(BLOCK))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return median(took)


def _value(text: str, name: str, joint: str = ":") -> str:
    lines = (line.partition(joint) for line in text.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "?")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip() or "?"
    except OSError:
        return "?"
