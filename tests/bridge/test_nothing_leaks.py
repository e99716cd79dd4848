"""Whatever happens on a channel, no key, number or text is in the log; a webhook of Evolution's carries its API key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, eventAsText, globalLogPublisher

from bridge.provider import HttpRequest, HttpResponse
from tests.bridge.simulated import KEY, OURS, SECRET, TEXT, VERIFY, Simulated

PERSON, NOBODY, WORDS = "5531988887777", "5511977770003", "Minha senha e 9182"
SECRETS = (KEY, SECRET, VERIFY, TEXT, WORDS, PERSON, NOBODY, PERSON[:4] + PERSON[5:], "9182")
SCRIPTS = ("read", "fails", "http:503", "429:1", "hang", "reset", "refuses", "logged_out:3s+times:1", "lookup_error")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        found.append(eventAsText(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize("api", OURS)
def test_a_channel_says_nothing_that_is_somebodys(api: str, lines: list[str]) -> None:
    for script in SCRIPTS:
        room = Simulated(api, script=script)
        room.provider.people.add(PERSON)
        for index, number in enumerate((PERSON, NOBODY)):
            room.send(number, f"m{index}")
        room.does(room.provider.says(PERSON, WORDS))
        if room.hooks:  # the last one comes again with a byte changed: refused, or nonsense
            taken, _ = room.hooks[-1]
            forged = HttpRequest("POST", "/webhooks/zap", taken.headers, taken.body.replace(b"e", b"3"))
            answer: Deferred[HttpResponse] = Deferred.fromCoroutine(room.channel.receive_webhook(forged))
            room.flows(1.0)
            assert answer.called
        room.does(room.provider.connect(False, banned=True))
        room.delivery.keeps = False
        room.does(room.provider.says(PERSON, WORDS))
        room.flows(20.0)
    assert lines, "something was logged"
    said = "\n".join(lines)
    assert [secret for secret in SECRETS if secret in said] == []
