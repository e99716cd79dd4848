"""In which form a text goes where the service minds what is said to whom, and what its answers mean for the text."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bridge.forms import Forms
from bridge.job import Count, Job
from bridge.presence import Evidence
from bridge.provider import HttpRequest, Official
from bridge.shapes import shape_of
from bridge.templates import PAIR_S, Form, FreeText, TemplateText
from gateway.messages.outcome import Accepted, AttemptResult, TryLater

BURST_S = 60.0  # others of a burst to one person got through this short ago


class Phrasing:
    """Of one sender. forms: those of its account, which senders of the same account share."""

    def __init__(
        self, official: Official, forms: Forms, channel: str, count: Count, unmatched: Callable[[str, str], None]
    ) -> None:
        self._official, self._forms, self._channel = official, forms, channel
        self._count, self._unmatched = count, unmatched

    def form_of(self, job: Job, now: float, *, window_open: bool) -> Form | None:
        """In which form a text may go; a Direct Send dies when the next channel's time has come."""
        message = job.message
        if message.template:
            return self._forms.named(message.template[0], message.template[1:], now)
        dies_at = message.expires_at
        if message.attempts and not job.alone(self._channel):
            dies_at = min(dies_at, message.attempts[-1].started_at + message.fallback_after)
        form = self._forms.form_of(job.text, window_open=window_open, ttl=dies_at - now, now=now)
        if not isinstance(form, (FreeText, TemplateText)) and self._forms.unmatched(job.text):
            self._count("pombo_unmatched", self._channel)
            self._unmatched(self._channel, shape_of(job.text))
        return form

    def request(self, job: Job, form: Form) -> HttpRequest:
        return self._official.form_request(job.recipient, form, job.message.id)

    def read(self, job: Job, form: Form, result: AttemptResult, known: Evidence, now: float) -> AttemptResult:
        """What a result means for this message, and for the form it went in."""
        self._forms.told(form, result, now)
        match result:
            case TryLater():
                attempts = job.message.attempts
                later = self._official.again(result, attempts[-1].tries if attempts else 0)
                burst = now - known.sent_at < BURST_S
                if burst and isinstance(later, TryLater) and later.reason == "pair_rate":
                    return msgspec.structs.replace(later, after_s=min(later.after_s, PAIR_S))
                return later
            case Accepted():
                return msgspec.structs.replace(result, lives_s=getattr(form, "ttl", 0.0))
        return result

    def alarm(self, result: AttemptResult) -> str:
        """What somebody has to look at after such a result; "" when nobody has."""
        return self._official.alarm(result)
