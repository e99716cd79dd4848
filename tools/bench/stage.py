"""One gateway, its operator and the load: what a scene is played on. Everything ends with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.bench.configurations import Configure, Place
from tools.bench.loadtool import LARGE, Esme, LoadError, LoadTool
from tools.gateway_process import CHECKOUT, GatewayProcess, cpu_s
from tools.node import Node, NodeError
from tools.ports import free_port

START_S, STOP_S = 60.0, 15.0
LOOK_S = 0.05
LISTENS = "listens"  # what a helper says first
SETTLE_S = 0.5  # from ready to the first message
DLR_DELAY_MS = 100  # the operator's
WRONG = ("receipts_missing", "receipts_dup", "receipts_unknown", "unanswered")
OPERATOR = ("--dlr-window", "2000", "--dlr-delay", str(DLR_DELAY_MS))
STEADY_RATE = 1000


class Stage:
    """Set up by `with`; `operator_said` is there when it has ended."""

    def __init__(
        self,
        tool: LoadTool,
        room: Path,
        configure: Configure,
        *,
        operator: Sequence[str] | None = OPERATOR,
        before: Callable[[Stage], None] = lambda stage: None,
        workers: int = 1,
    ) -> None:
        """room: where directories may be made. operator: options of the tool as a message centre; None: without one.
        before: called with the stage before the gateway starts. workers: processes of the gateway."""
        self.tool = tool
        directory = Path(tempfile.mkdtemp(prefix="pombo-bench-", dir=room))
        self.place = Place(directory, free_port(), free_port(), free_port(), free_port())
        self.gateway = GatewayProcess(directory)
        self.gateway.workers = workers
        self.node = Node(f"http://127.0.0.1:{self.place.http}")
        self.operator_said: dict[str, Any] = {}
        self._configure, self._before, self._options = configure, before, operator
        self._operator: Any = None
        self._helpers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._clear()

    def _set_up(self) -> None:
        os.sync()  # what earlier ones left to write must not be written now
        configuration = self._configure(self.place)
        self.gateway.configure(configuration)
        self._before(self)
        if self._options is not None:
            self._operator = self.tool.operator(self.place.operator, *self._options)
        self.gateway.start()
        wanted = "zap" if "smsc_client" not in configuration else "operator"
        self.await_that(lambda: self._up(wanted), START_S, "the gateway is not ready")
        time.sleep(SETTLE_S)

    def _up(self, channel: str) -> bool:
        try:
            return self.node.ready() and any(
                one["up"] for one in self.node.status()["channels"] if one["name"] == channel
            )
        except NodeError:
            return False

    def await_that(self, question: Callable[[], object], most_s: float, trouble: str) -> None:
        end = time.monotonic() + most_s
        while not question():
            if not self.gateway.alive:
                raise LoadError(f"the gateway ended: {self.gateway.log()[-1000:]}")
            if time.monotonic() > end:
                raise LoadError(f"{trouble} within {most_s:g} s: {self.gateway.log()[-1000:]}")
            time.sleep(LOOK_S)

    def helper(self, module: str, *options: str) -> subprocess.Popen[str]:
        """A process of ours beside the gateway, which has said that it listens; what it prints then can be read."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *options], cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._helpers.append(process)
        if not process.stdout or process.stdout.readline().strip() != LISTENS:
            raise LoadError(f"{module} does not listen")
        return process

    def _clear(self) -> None:
        if self.gateway.alive:
            self.gateway.terminate()
            end = time.monotonic() + STOP_S
            while self.gateway.alive and time.monotonic() < end:
                time.sleep(LOOK_S)
        self.gateway.clean_up()
        if self._operator is not None:
            self.operator_said, self._operator = self._operator.end(), None
        for process in self._helpers:
            process.terminate()
            process.communicate()
        shutil.rmtree(self.place.directory, ignore_errors=True)

    # ---- loads

    def load(self, count: int, *options: str, port: int = 0, ucs2: bool = False, numbered: bool = False) -> Esme:
        """A billing system that begins at once and wants receipts."""
        return self.tool.esme(port or self.place.smpp, count, "--dlr", *options, ucs2=ucs2, numbered=numbered)

    def saturate(
        self, count: int, *options: str, port: int = 0, ucs2: bool = False, ceiling: bool = False
    ) -> dict[str, float]:
        """As fast as answers allow. ceiling: take T first."""
        top = {"T": self.tool.ceiling()} if ceiling else {}
        before = self.cpu_s()
        said = self.load(count, *LARGE, *options, port=port, ucs2=ucs2).wait()
        return top | read(said) | self.per_message(before, said["ok"])

    def steady(self, seconds: float, *options: str) -> dict[str, float]:
        """A thousand a second."""
        rate = ("--rate", str(STEADY_RATE))
        return read(self.load(int(STEADY_RATE * seconds), *LARGE, *rate, *options).wait())

    # ---- what it takes

    def cpu_s(self) -> tuple[float, float]:
        """Processor time of gateway and store so far."""
        processes = (self.gateway.pid, *self.gateway.worker_pids())
        return sum(map(cpu_s, processes)), cpu_s(self.gateway.find_store())

    def per_message(self, before: tuple[float, float], count: int) -> dict[str, float]:
        """Microseconds of the processor for each of so many messages since then."""
        if not count:
            raise LoadError("no message was accepted")
        gateway, store = ((now - then) / count * 1e6 for now, then in zip(self.cpu_s(), before, strict=True))
        return {"gateway_us": gateway, "store_us": store, "cpu_us": gateway + store}

    def resident_mb(self) -> tuple[float, float]:
        """Of gateway and store."""
        return resident_mb(self.gateway.pid), resident_mb(self.gateway.find_store())


def read(said: dict[str, Any]) -> dict[str, float]:
    """The figures in the line of the tool's billing system."""
    figures = {
        "answers_per_s": said["ack_per_s"],
        "receipts_per_s": said.get("receipt_per_s", 0.0),
        "refused": said["answered"] - said["ok"],
        "wrong": sum(said.get(name, 0) for name in WRONG) + said["answered"] - said["ok"],
    }
    for ours, its in (("answer", "ack_ms"), ("receipt", "receipt_ms")):
        for share in ("p50", "p99"):
            if its in said:
                figures[f"{ours}_{share}_ms"] = said[its][share]
    return {name: float(value) for name, value in figures.items()}


def resident_mb(pid: int) -> float:
    """Memory of a process, in megabytes of a million octets. Linux."""
    words = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()
    return int(words[0]) * 1024 / 1e6
