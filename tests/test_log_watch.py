"""The watch over what the suite logs sees what it is there for, and nothing else."""

from __future__ import annotations

import pytest
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from tests.end_to_end import stage
from tests.log_watch import SECRETS, WATCH, LogWatch

TEXT = "Ola Ana, sua fatura de R$ 12,90 vence amanha."


def watch() -> LogWatch:
    one = LogWatch()
    one.submitted(TEXT)
    one.configured({"smsc_client": [{"name": "operator", "password": "0f-th1s-file"}]})
    return one


def logged(form: str, level: LogLevel = LogLevel.info, **fields: object) -> list[str]:
    """What the watch finds in one event that is logged in this process."""
    one = watch()
    Logger("somebody", observer=one).emit(level, form, **fields)
    return one.findings()


@pytest.mark.parametrize(
    "line",
    ["2026-03-01T12:00:00.123Z info  [smsc] to 5511987654321 now", "x +5511987654321", "x 11987654321",
     "x 551187654321", "x (11) 98765-4321", f"x {TEXT}", "x " + TEXT.replace("12,90", "13,50"), "password=0f-th1s-file",
     "hunting s3cr3tpw!"],
)  # fmt: skip
def test_a_line_that_tells_too_much_is_found(line: str) -> None:
    one = watch()
    one.process(f"2026-03-01T12:00:00.123Z info  [node] ready\n{line}\n")
    (found,) = one.findings()
    assert "test_a_line_that_tells_too_much_is_found" in found


@pytest.mark.parametrize(
    "line",
    ["2026-03-01T12:00:00.123Z info  [smsc] to …4321 now", '{"at": "2026-03-01T12:00:00.123Z", "level": "info"}',
     "message_id=3lpae3000119876543210", "bytes 1790000000 1790000000123", "Sua fatura",
     "127.0.0.1:54696 took 11.9876 s"],
)  # fmt: skip
def test_what_may_be_logged_is_not_found(line: str) -> None:
    one = watch()
    one.process(line)
    assert one.findings() == []


def test_events_of_this_process_are_seen_as_a_node_writes_them() -> None:
    assert logged("to {number}", number="5511987654321") == []
    assert logged("with {password}", password="s3cr3tpw") == []
    assert len(logged("with {it}", it="s3cr3tpw")) == 1
    assert len(logged("said", said=TEXT)) == 1
    assert len(logged("failed", LogLevel.critical, log_failure=Failure(ValueError(TEXT)))) == 1
    assert logged("said {it}", LogLevel.debug, it=TEXT) == [], "below info"


def test_the_secrets_of_the_stages_are_known() -> None:
    for secret in (stage.PASSWORD, stage.OPERATOR_PASSWORD, stage.TOKEN, stage.KEY):
        assert any(known in secret for known in SECRETS)


def test_what_this_very_session_logs_is_watched() -> None:
    before = len(WATCH._lines)
    Logger("tests").info("a sentence that nobody else logs, for the watch alone")
    assert len(WATCH._lines) == before + 1
