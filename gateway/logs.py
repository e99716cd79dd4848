"""The log: twisted.logger events as console lines or as JSON, one line each (tracebacks excepted on the console).

Texts and secrets never show, numbers only their last four digits unless `log.redact` is off; see `gateway.redaction`.
Every field is masked on its way into the line, and so are tracebacks with their exception's words.

Where the stream is systemd's journal each line begins with its priority, which the journal takes off and keeps, so that
`journalctl -p warning` finds it.
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from twisted.logger import ILogObserver, LogBeginner, LogEvent, LogLevel, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.redaction import IDS, PRIVATE, hidden, redact


class LogSettings(Protocol):
    """The part of the configuration that the log needs: `config.schema.LogSettings`."""

    @property
    def format(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def redact(self) -> bool: ...


@implementer(ILogObserver)
class LogWriter:
    """Writes events to a stream. `apply` takes other settings while it runs."""

    def __init__(self, settings: LogSettings, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._stream, self._journal = stream, is_journal(stream, environ)
        self.who = ""  # of several processes that write to one stream: which one this is
        self.apply(settings)

    def apply(self, settings: LogSettings) -> None:
        """From the next event on."""
        self._lowest = _ORDER[settings.level]
        self._masks = settings.redact
        self._write = _as_json if settings.format == "json" else _as_console

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        name = level.name if level is not None else "info"
        if _ORDER.get(name, 1) < self._lowest or (name == "info" and event.get("log_namespace") == _OLD):
            return
        try:
            line = self._write(event, name, self._masks, self.who)
        except Exception as error:  # an event must never end the process
            line = f"an event could not be written ({type(error).__name__})\n"
        if self._journal:
            line = "".join(f"<{_PRIORITY.get(name, 6)}>{one}" for one in line.splitlines(keepends=True))
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nowhere left to say so


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Does systemd's journal read this stream? Source: systemd.exec(5), JOURNAL_STREAM."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        at = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file, or closed
        return False
    return named == f"{at.st_dev}:{at.st_ino}"


def start_logging(settings: LogSettings, stream: TextIO, beginner: LogBeginner = globalLogBeginner) -> LogWriter:
    """Begin logging to a stream, for a process that twistd does not run; once per process.

    Under twistd give a `LogWriter` to the application instead: `application.setComponent(ILogObserver, writer)`.
    """
    writer = LogWriter(settings, stream)
    observers: list[Any] = [writer]
    beginner.beginLoggingTo(observers, discardBuffer=False, redirectStandardIO=False)
    return writer


_ORDER = {level.name: place for place, level in enumerate(LogLevel.iterconstants())}
# Twisted's own words from before its logger: every port that it opens and closes, our own among them.
_OLD = "log_legacy"
_PRIORITY = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}  # syslog(3), as sd-daemon(3) has them


def message(event: LogEvent, masks: bool) -> str:
    """The event as one sentence; empty when it has no words. masks: numbers are shortened."""
    form = event.get("log_format")
    if form is None:
        words = event.get("log_text") or _old_style(event)
        return redact(words) if masks else words
    try:
        return _Masking(masks).vformat(form, (), event)
    except Exception as error:  # wrong names in the format, a broken __str__ ...
        words = f"unformattable event ({type(error).__name__}): {form}"
        return redact(words) if masks else words


def _old_style(event: LogEvent) -> str:
    """What twisted.python.log calls left: a tuple of things to be joined."""
    parts = event.get("message") or ()
    return " ".join(map(str, parts)) if isinstance(parts, Sequence) and not isinstance(parts, str) else str(parts)


class _Masking(string.Formatter):
    """Formats as twisted.logger does (`{field}`, `{field.attribute}`, `{call()}`), masking each field on its way in."""

    def __init__(self, masks: bool) -> None:
        self._masks = masks

    def parse(self, format_string: str) -> Any:
        for literal, field, spec, conversion in super().parse(format_string):
            yield (redact(literal) if self._masks else literal), field, spec, conversion

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        called = field_name.endswith("()")
        value, first = super().get_field(field_name.removesuffix("()"), args, kwargs)
        if called:
            value = value()
        names = field_name.removesuffix("()").replace("[", ".").replace("]", "").split(".")
        if any(name in PRIVATE for name in names):
            return hidden(value), first
        return (_Masked(value) if self._masks and names[-1] not in IDS else value), first


class _Masked:
    """A value whose text, however it is asked for, has its numbers shortened."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return redact(str(self._value))

    def __repr__(self) -> str:
        return redact(repr(self._value))

    def __format__(self, spec: str) -> str:
        return redact(format(self._value, spec))


def _traceback(event: LogEvent, masks: bool) -> str:
    failure = event.get("log_failure")
    if not isinstance(failure, Failure):
        return ""
    try:
        words = failure.getTraceback()
    except Exception:
        words = f"(no traceback: {failure.type})\n"
    return redact(words) if masks else words


def _as_console(event: LogEvent, level: str, masks: bool, who: str = "") -> str:
    """`2026-03-01T12:00:00.123Z info  [gateway.server.protocol] words`, the traceback below. who: before the words."""
    words = message(event, masks).replace("\n", "\n  ")
    where = event.get("log_namespace") or event.get("log_system") or "-"
    trace = _traceback(event, masks)
    return f"{_moment(event)} {level:<5} {who + ' ' if who else ''}[{where}] {words}\n{trace}"


def _as_json(event: LogEvent, level: str, masks: bool, who: str = "") -> str:
    """`{"at", "level", "process"?, "logger", "message", ...the event's fields..., "traceback"?}` on one line."""
    out: dict[str, Any] = {
        "at": _moment(event),
        "level": level,
        **({"process": who} if who else {}),
        "logger": event.get("log_namespace") or event.get("log_system") or "-",
        "message": message(event, masks),
    }
    for name, value in event.items():
        if name not in out and not name.startswith("log_") and name not in _INTERNAL:
            out[name] = _field(name, value, masks)
    trace = _traceback(event, masks)
    if trace:
        out["traceback"] = trace
    return json.dumps(out, ensure_ascii=False, default=str) + "\n"


_INTERNAL = frozenset({"time", "system", "isError", "failure", "why", "message", "format", "log"})


def _field(name: str, value: Any, masks: bool) -> Any:
    """A field as plain JSON, masked."""
    if name in PRIVATE:
        return hidden(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return redact(str(value)) if masks and name not in IDS and abs(value) >= 10_000_000 else value
    if isinstance(value, dict):
        return {_field("", str(key), masks): _field(str(key), item, masks) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_field(name, item, masks) for item in value]
    words = value if isinstance(value, str) else str(value)
    return redact(words) if masks and name not in IDS else words


def _moment(event: LogEvent) -> str:
    at = datetime.fromtimestamp(event.get("log_time") or event.get("time") or 0.0, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
