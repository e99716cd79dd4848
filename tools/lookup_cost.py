"""What lookups cost the ones who submit: accept rate and answer times with a slow lookup on every message against the
same without lookups, in turn on one machine (R5).

python -m tools.lookup_cost --count 10000 --lookup 150ms

Every message goes to a number that nobody has asked about. Each run has a fresh gateway on an embedded store, with the
operator and the WhatsApp provider of the laboratory. Exit status 0 when the rate with lookups is at least 90 % of the
one without, and the p99 of the answers is longer by less than the lookup takes.
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
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tools.demo_stage import CHECKOUT, short_directory
from tools.node import Node, NodeError
from tools.ports import free_port
from tools.units import seconds

START_S, STOP_S = 30.0, 15.0
LEAST_RATE = 0.9
_P99 = re.compile(r"answer p50 / p99\s+([\d.]+) / ([\d.]+) ms")
_TIME = re.compile(r"^time\s+([\d.]+) s", re.MULTILINE)
_OK = re.compile(r"answered ESME_ROK \S+\s+(\d+)")
_ASKED = re.compile(r'^pombo_lookup_total\{[^}]*origin="provider"[^}]*\} (\S+)', re.MULTILINE)


class Run:
    """A gateway, its two services and one billing system. `close` leaves no process and no file behind."""

    def __init__(self, looks_up: bool, lookup_s: float) -> None:
        self.directory = short_directory()
        self._ports = [free_port() for _ in range(4)]
        smpp, http, operator, zap = self._ports
        self._password, self._lookup_s = secrets.token_hex(4), lookup_s
        self.node = Node(f"http://127.0.0.1:{http}")
        self._config: dict[str, Any] = {
            "node": "lookup-cost",
            "store": {"url": "embedded", "directory": str(self.directory / "store")},
            "smpp_server": {
                "listen": [f"tcp:{smpp}:interface=127.0.0.1"],
                "accounts": [{"system_id": "billing", "password": self._password, "throughput": "100000/s"}],
            },
            "smsc_client": [
                {"name": "operator", "connect": f"tcp:127.0.0.1:{operator}", "system_id": "pombo",
                 "password": self._password, "throughput": "1000/s"}
            ],
            "bridge": [
                {"name": "zap", "provider": "evolution", "url": f"http://127.0.0.1:{zap}", "api_key": self._password,
                 "instance": "main", "throughput": "1000/s", "health": {"min_acks": 0},
                 "lookup": {"enabled": looks_up, "budget": "100000/s"}}
            ],
            "routes": [{"name": "default", "channels": ["zap", "operator"], "fallback_after": "10m"}],
            "http": {"listen": [f"tcp:{http}:interface=127.0.0.1"]},
            "log": {"level": "warn"},
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

    def _simulate(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        return self._spawn(name, sys.executable, "-m", "tools.cli", "simulate", *words)

    def start(self) -> None:
        """Everything serves when this returns."""
        path = self.directory / "pombo.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(self._config))
        _, _, operator, zap = self._ports
        self._simulate("operator", "smsc", "--listen", f"tcp:{operator}:interface=127.0.0.1", "--quiet")
        self._simulate(
            "zap", "whatsapp", "--listen", f"tcp:{zap}:interface=127.0.0.1", "--key", self._password, "--share", "1",
            "--lookup-delay", f"{self._lookup_s:g}s", "--quiet",
        )  # fmt: skip
        twistd = Path(sys.executable).parent / "twistd"
        self._spawn("gateway", str(twistd), "-ny", str(CHECKOUT / "twistd.tac"), "--pidfile=")
        end = time.monotonic() + START_S
        while not self._serves():
            if time.monotonic() > end:
                raise SystemExit(f"lookup_cost: the gateway is not ready within {START_S:g} s")
            time.sleep(0.1)

    def _serves(self) -> bool:
        try:
            return self.node.ready() and all(channel["up"] for channel in self.node.status()["channels"])
        except NodeError:
            return False

    def submit(self, count: int, window: int) -> tuple[float, float, float]:
        """(answers/s, p50, p99 in seconds) of so many messages, each to somebody new."""
        biller = self._simulate(
            "biller", "esme", "--connect", f"tcp:127.0.0.1:{self._ports[0]}", "--password", self._password,
            "--to", "55119........", "--count", str(count), "--window", str(window), "--registered-delivery", "0",
            "--wait", "1s",
        )  # fmt: skip
        biller.wait(600)
        told = (self.directory / "biller.log").read_text("utf-8", "replace")
        times, span, kept = _P99.search(told), _TIME.search(told), _OK.search(told)
        if times is None or span is None or kept is None or int(kept[1]) != count:
            raise SystemExit(f"lookup_cost: not everything was accepted:\n{told}")
        return count / float(span[1]), float(times[1]) / 1000, float(times[2]) / 1000

    def asked(self) -> int:
        """How many numbers the provider was asked about so far."""
        return int(sum(float(n) for n in _ASKED.findall(str(self.node.ask("GET", "/metrics")[1]))))

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


def measured(looks_up: bool, options: argparse.Namespace) -> tuple[float, float, float]:
    """One run, told in a line."""
    run = Run(looks_up, options.lookup)
    try:
        run.start()
        rate, p50, p99 = run.submit(options.count, options.window)
        what = f"lookup {'on ' if looks_up else 'off'}"
        print(f"{what}  {rate:7.0f} answers/s  p50 {p50 * 1000:6.1f} ms  p99 {p99 * 1000:6.1f} ms  "
              f"{run.asked()} asked while they came", flush=True)  # fmt: skip
        return rate, p50, p99
    finally:
        run.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10000, help="messages a run (%(default)s)")
    parser.add_argument("--window", type=int, default=50, help="unanswered submits (%(default)s)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each kind, in turn (%(default)s)")
    parser.add_argument("--lookup", type=seconds, default="150ms", metavar="T", help="of a lookup (%(default)s)")
    options = parser.parse_args()
    without, with_ = [], []
    for _ in range(options.pairs):
        without.append(measured(False, options))
        with_.append(measured(True, options))
    share = median(on[0] / off[0] for on, off in zip(with_, without, strict=True))
    longer = median(on[2] - off[2] for on, off in zip(with_, without, strict=True))
    print(f"with lookups {share:.0%} of the rate without; p99 {longer * 1000:+.1f} ms")
    return 0 if share >= LEAST_RATE and longer < options.lookup else 1


if __name__ == "__main__":
    sys.exit(main())
