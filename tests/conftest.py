"""Whatever the suite logs is watched: a number, a text or a secret in it fails the session; see tests/log_watch.py."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from tests.log_watch import WATCH

OF_WORKERS = "log_watch"
found: list[str] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    globalLogPublisher.addObserver(WATCH)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended."""
    found.extend(getattr(node, "workeroutput", {}).get(OF_WORKERS, ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    globalLogPublisher.removeObserver(WATCH)
    found.extend(WATCH.findings())
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[OF_WORKERS] = found
    elif found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if found:
        terminalreporter.section("what must never be logged was logged", red=True)
        for sentence in found:
            terminalreporter.line(sentence)
