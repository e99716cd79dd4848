"""A foreign program that speaks SMPP, and says on its standard output what happens to it: one JSON map a line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.end_to_end.stage import Stage

PATIENCE_S = 30.0
LEAVE_S = 5.0


class Peer:
    """The running program; the end of the `with` block ends it, too. What it printed is in two files of `directory`."""

    def __init__(self, directory: Path, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """command: an interpreter, a script and its arguments."""
        self.name = Path(command[1]).stem
        self._command, self._directory = list(command), directory
        self._environ = {**os.environ, **(environ or {})}
        self._out, self._err = directory / f"{self.name}.out", directory / f"{self.name}.err"

    def __enter__(self) -> Self:
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, env=self._environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_S)
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to leave; returns before it has."""
        self._process.terminate()

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    @property
    def said(self) -> list[dict[str, Any]]:
        """Every complete line."""
        lines = self._out.read_text("utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def of(self, key: str) -> list[Any]:
        """The values of this key in all it said, in order."""
        return [line[key] for line in self.said if key in line]

    def complaints(self) -> str:
        return self._err.read_text("utf-8", "replace")[-3000:]

    async def until(self, stage: Stage, question: Callable[[], Any], what: str) -> None:
        """Wait for it, unless the program fails before."""

        def look() -> bool:
            if question():
                return True
            assert self.status in (None, 0), f"{self.name} ended with {self.status}\n{self.complaints()}"
            return False

        try:
            await stage.until(look, what, PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- {self.name} said ---\n{self.said}\n{self.complaints()}") from None

    async def ends_well(self, stage: Stage) -> None:
        await self.until(stage, lambda: self.status == 0, f"{self.name} comes to its end")
