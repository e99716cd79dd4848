"""Everything that the suite logs, looked through for what must never be in a log: numbers, texts and secrets.

`tests/conftest.py` lets it see each event in this process, written as a node with redaction on writes it, and
`tests/end_to_end/node.py` each line of a gateway process. Numbers are known by their shape, texts and secrets because
the tests' own billing systems and configurations tell of them. Texts are looked for once, at the end of the session.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.logger import LogEvent

from config.schema import LogSettings
from gateway.logs import LogWriter
from gateway.redaction import PRIVATE

SECRETS = {  # of tests that run in this process
    "s3cr3tpw", "0p3r4tor", "adm1n-t0k3n", "pr0v1der-k3y", "w3bh00k-s3cret", "v3rify", "wr0ngpw7",
    "pa55word-of-this-test",
}  # fmt: skip
NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:(?:\+?55)?[1-9][1-9]9[0-9]{8}|55[1-9][1-9][6-9][0-9]{7})(?![0-9A-Za-z])")
WRITTEN = re.compile(r"\(?[1-9][1-9]\)? 9? ?[0-9]{4}-[0-9]{4}\b")  # as people do
MOMENT = re.compile(r"\A[0-9T:.-]+Z |\A\{\"at\": \"[^\"]*\"")
VARYING = re.compile(r"[0-9A-Za-z]*[0-9][0-9A-Za-z]*")  # ids, ports, spans: lines that differ by them only are the same
SHORTEST_TEXT, SHORTEST_SECRET = 10, 6
MOST = 50_000  # lines and texts that are kept
TOLD = 20  # findings


class LogWatch:
    """Lines go in; `findings` says what was wrong with them."""

    def __init__(self) -> None:
        self._writer = LogWriter(LogSettings(format="json"), self)  # type: ignore[arg-type]
        self._found: list[str] = []
        self._lines: dict[str, str] = {}  # without what varies -> the test that logged it first
        self._texts: set[str] = set()
        self._secrets = set(SECRETS)
        self._secret = re.compile("")
        self._compile()

    # -- what must not be seen

    def submitted(self, text: str) -> None:
        """A text that a billing system of the tests submits."""
        if len(text.strip()) >= SHORTEST_TEXT and len(self._texts) < MOST:
            self._texts.add(VARYING.sub("#", text.strip()))

    def configured(self, settings: Any) -> None:
        """A configuration that a process of the tests runs with: its secrets."""
        known = len(self._secrets)
        self._secrets.update(one for one in _secrets(settings) if len(one) >= SHORTEST_SECRET)
        if len(self._secrets) != known:
            self._compile()

    def _compile(self) -> None:
        self._secret = re.compile("|".join(re.escape(one) for one in sorted(self._secrets, key=len, reverse=True)))

    # -- what is logged

    def __call__(self, event: LogEvent) -> None:
        """An observer of twisted.logger."""
        self._writer(event)

    def write(self, line: str) -> None:
        """The stream of the log of this process."""
        self.line(line, os.environ.get("PYTEST_CURRENT_TEST", "between tests").partition(" (")[0])

    def flush(self) -> None:
        """Nothing is kept back."""

    def line(self, line: str, test: str) -> None:
        """One line, or one event with its traceback."""
        words = MOMENT.sub("", line)
        for what, pattern in (("a number", NUMBER), ("a number", WRITTEN), ("a secret", self._secret)):
            if found := pattern.search(words):
                self._found.append(f"{test} logged {what}, {found[0]!r}: {line.strip()[:300]}")
        if len(self._lines) < MOST:
            self._lines.setdefault(VARYING.sub("#", words), test)

    def process(self, log: str) -> None:
        """The whole log of a gateway process."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "between tests").partition(" (")[0]
        for line in log.splitlines():
            self.line(line, test)

    # -- what came of it

    def findings(self) -> list[str]:
        """One sentence each."""
        all_lines = "\n".join(self._lines)
        texts = [text for text in self._texts if text in all_lines]
        found = [
            f"{test} logged a text, {text!r}: {line.strip()[:300]}"
            for text in texts
            for line, test in self._lines.items()
            if text in line
        ]
        return [*self._found, *found][:TOLD]


def _secrets(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if name in PRIVATE and isinstance(value, str):
                yield value
            else:
                yield from _secrets(value)
    elif isinstance(settings, list):
        for one in settings:
            yield from _secrets(one)


WATCH = LogWatch()
