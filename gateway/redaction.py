"""Keeping people out of the log: numbers show their last four digits, texts and secrets do not show at all."""

from __future__ import annotations

import re
from typing import Any

MASK = "…"
_NUMBER = re.compile(r"\+?\(?\d(?:[ ()\-]{0,2}\d){7,}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]|$)")
_NOT_DIGIT = re.compile(r"\D")

_TEXTS = {"text", "short_message", "message_payload", "user_data", "body", "payload", "words", "content"}
_SECRETS = {"password", "password_hash", "secret", "api_key", "app_secret", "webhook_secret", "verify_token"}
_TOKENS = {"admin_token", "token", "authorization", "credentials"}
PRIVATE = frozenset(_TEXTS | _SECRETS | _TOKENS)
"""Names of event fields whose values are never logged."""

IDS = frozenset({"message_id", "smsc_message_id", "node", "sequence_number", "command_id", "count", "pid"})
"""Names of event fields that may hold many digits and are nobody's number. Provider ids are not here: some hold one."""


def redact(text: str) -> str:
    """The text with everything that looks like a phone number (8 digits or more, also with spaces, dashes and brackets)
    reduced to its last four digits. Dates are left alone."""
    return _NUMBER.sub(_shorten, text)


def _shorten(found: re.Match[str]) -> str:
    whole = found[0]
    if _DATE.match(found.string, found.start()) and len(_NOT_DIGIT.sub("", whole)) <= 10:
        return whole
    return MASK + _NOT_DIGIT.sub("", whole)[-4:]


def hidden(value: Any) -> str:
    """What stands in the log for a private value: how long it is."""
    try:
        return f"<{len(value)} long, not logged>"
    except TypeError:
        return "<not logged>"
