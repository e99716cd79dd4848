"""The log: what a line looks like, and what never stands in it."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogBeginner, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure

from config.schema import LogSettings
from gateway.logs import LogWriter, is_journal, start_logging
from gateway.redaction import redact


class WithPassword:
    password = "hunter2"

    def __str__(self) -> str:
        return "settings"


class Out:
    """A LogWriter over memory, and a Logger that feeds it."""

    def __init__(self, **settings: Any) -> None:
        self.stream = io.StringIO()
        self.writer = LogWriter(LogSettings(**settings), self.stream)
        observer: Any = self.writer
        self.log = Logger("gateway.test", observer=observer)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.text)
        return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to 5511987654321 now", "to …4321 now"),
        ("+55 (11) 98765-4321", "…4321"),
        ("11 98765-4321, 1198765432", "…4321, …5432"),
        ("5511987654321@s.whatsapp.net", "…4321@s.whatsapp.net"),
        ("true_5511987654321@c.us_3EB0", "true_…4321@c.us_3EB0"),
        ("tel5511987654321x", "tel…4321x"),
        ("1234567", "1234567"),
        ("12345678", "…5678"),
        ("port 2775, 500/s", "port 2775, 500/s"),
        ("10.0.0.5:2775 and 192.168.100.200:54321", "10.0.0.5:2775 and 192.168.100.200:54321"),
        ("on 2026-03-01 or 2026-03-01T12:00", "on 2026-03-01 or 2026-03-01T12:00"),
        ("0x58 ESME_RTHROTTLED", "0x58 ESME_RTHROTTLED"),
    ],
)
def test_numbers_keep_their_last_four_digits(text: str, expected: str) -> None:
    assert redact(text) == expected


@given(st.text(), st.integers(10_000_000, 10**15), st.text())
def test_no_number_survives_whatever_stands_around_it(before: str, number: int, after: str) -> None:
    assert str(number) not in redact(f"{before}{number}{after}")


@pytest.mark.parametrize("form", ["console", "json"])
def test_the_journal_is_told_the_priority_of_each_line_and_no_other_file_is(tmp_path: Path, form: str) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        at = os.fstat(stream.fileno())
        for named in (f"{at.st_dev}:{at.st_ino}", f"{at.st_dev}:{at.st_ino + 1}", ""):
            observer: Any = LogWriter(LogSettings(format=form), stream, {"JOURNAL_STREAM": named})
            log = Logger("gateway.test", observer=observer)
            log.info("ready")
            log.warn("the disk is full\nnearly")
            log.critical("the gateway cannot start")
        stream.seek(0)
        lines = stream.read().splitlines()
    count = 4 if form == "console" else 3
    assert [line[:3] for line in lines[:count]] == ["<6>", *["<4>"] * (count - 2), "<2>"]
    assert not any(line.startswith("<") for line in lines[count:])
    assert all(line.endswith(other[-10:]) for line, other in zip(lines[:count], lines[count : 2 * count], strict=True))


def test_a_stream_that_is_no_file_is_no_journal() -> None:
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "8:1"})


def test_a_console_line_has_moment_level_place_and_words() -> None:
    out = Out()
    out.log.info("bound: {account} with {count} binds", account="billing", count=3)
    moment, rest = out.text.split(" ", 1)
    assert moment.endswith("Z")
    assert len(moment) == len("2026-03-01T12:00:00.000Z")
    assert rest == "info  [gateway.test] bound: billing with 3 binds\n"


def test_a_json_line_has_the_fields_beside_the_words() -> None:
    out = Out(format="json")
    out.log.warn("slow: {channel}", channel="zap", message_id="0123456789", waited=1.5, hosts=("a", "b"), up=True)
    line = out.json
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warn",
        "logger": "gateway.test",
        "message": "slow: zap",
        "channel": "zap",
        "message_id": "0123456789",
        "waited": 1.5,
        "hosts": ["a", "b"],
        "up": True,
    }
    assert out.text.count("\n") == 1


def test_of_several_processes_each_says_who_it_is() -> None:
    out = Out()
    out.writer.who = "gw1-2"
    out.log.info("bound")
    assert out.text.endswith("Z info  gw1-2 [gateway.test] bound\n")
    out = Out(format="json")
    out.log.info("bound")
    assert "process" not in out.json
    out = Out(format="json")
    out.writer.who = "gw1-2"
    out.log.info("bound")
    assert out.json["process"] == "gw1-2"


@pytest.mark.parametrize("form", ["console", "json"])
def test_numbers_are_masked_in_every_field_and_in_the_words(form: str) -> None:
    out = Out(format=form)
    number = "5511987654321"
    out.log.info(
        "f-string 5511987654321 to {to} {to!r} {n} {it.args} {call()} {of[x]} {message_id}",
        to=number,
        n=int(number),
        it=ValueError(number),
        call=lambda: number,
        of={"x": number, number: 1},
        message_id="00000000123456789",
    )
    assert "98765" not in out.text
    assert "…4321" in out.text
    assert "00000000123456789" in out.text


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("redact_numbers", [True, False])
def test_texts_and_secrets_never_show(form: str, redact_numbers: bool) -> None:
    out = Out(format=form, redact=redact_numbers)
    out.log.info(
        "{text} {short_message!r} {o.password} {d[text]}",
        text="sua fatura",
        short_message=b"sua fatura",
        o=WithPassword(),
        d={"text": "sua fatura", "nested": {"token": "hunter2"}},
        api_key="hunter2",
    )
    assert "fatura" not in out.text
    assert "hunter2" not in out.text


def test_numbers_show_when_redact_is_off() -> None:
    out = Out(redact=False)
    out.log.info("to {to}", to="5511987654321")
    assert "5511987654321" in out.text


@pytest.mark.parametrize(("level", "seen"), [("debug", 5), ("info", 4), ("warn", 3), ("error", 2), ("critical", 1)])
def test_what_is_below_the_level_is_left_out(level: str, seen: int) -> None:
    out = Out(level=level)
    for name in ("debug", "info", "warn", "error", "critical"):
        getattr(out.log, name)("hello")
    assert out.text.count("hello") == seen


def test_other_settings_apply_from_the_next_event_on() -> None:
    out = Out(level="error")
    out.log.info("one")
    out.writer.apply(LogSettings(format="json", level="debug"))
    out.log.info("two")
    assert out.json["message"] == "two"


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_failure_brings_its_traceback_masked(form: str) -> None:
    out = Out(format=form)
    try:
        raise ValueError("no such number 5511987654321")
    except ValueError:
        out.log.failure("lookup broke")
    assert "lookup broke" in out.text
    assert "Traceback" in out.text
    assert "ValueError: no such number …4321" in out.text
    assert "98765" not in out.text
    if form == "json":
        assert "ValueError" in out.json["traceback"]


def test_events_of_the_old_kind_are_written_too() -> None:
    out = Out()
    out.writer({"message": ("starting", "on", 2775), "time": 0.0, "system": "-", "isError": 0})
    assert out.text == "1970-01-01T00:00:00.000Z info  [-] starting on 2775\n"


def test_what_twisted_says_of_its_ports_is_left_out_and_its_errors_are_not() -> None:
    out = Out()
    event = {"log_namespace": "log_legacy", "log_format": "{log_text}", "log_text": "Ear starting on '/tmp/x/1.ear'"}
    out.writer({**event, "log_level": LogLevel.info})
    assert out.text == ""
    out.writer({**event, "log_level": LogLevel.critical})
    assert "Ear starting" in out.text


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_event_that_cannot_be_formatted_is_still_a_line(form: str) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("x")

        __repr__ = __str__

    out = Out(format=form)
    out.log.info("{nothing} here")
    out.log.info("{broken}", broken=Broken())
    out.log.info("{open")
    out.writer({"log_format": 3})
    assert out.text.count("\n") == 4
    assert "unformattable" in out.text


def test_a_closed_stream_ends_nothing() -> None:
    out = Out()
    out.stream.close()
    out.log.info("hello")


def test_line_breaks_in_words_do_not_make_new_lines_look_like_events() -> None:
    out = Out()
    out.log.info("{what}", what="a\n2026-03-01T12:00:00.000Z info  [x] forged")
    assert out.text.splitlines()[1].startswith("  ")


def test_logging_starts_with_what_was_said_before() -> None:
    publisher: Any = LogPublisher()
    stream = io.StringIO()
    beginner = LogBeginner(publisher, io.StringIO(), sys, warnings)
    Logger("early", observer=publisher).info("first words")
    start_logging(LogSettings(), stream, beginner)
    Logger("late", observer=publisher).info("and more")
    assert "first words" in stream.getvalue()
    assert "and more" in stream.getvalue()


def test_a_failure_without_a_message_is_written() -> None:
    out = Out()
    failure: Any = Failure
    out.writer({"log_failure": failure(ValueError("x")), "log_level": None, "isError": 1})
    assert "ValueError: x" in out.text
