"""What is asked last of a text that nobody heard of: the requests, held against the published documents, and what their
answers mean."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bridge.parting import MOST_CALLS, LastWords
from bridge.presence import PresenceMemory, found
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Telling, Unanswered, Withdrawing
from gateway.messages.address import same_person
from gateway.messages.message import Attempt, Attempted
from gateway.messages.outcome import Copy, LastWord, Status
from tests.bridge.documents import hold_request
from tests.bridge.fakes import PERSON, START, FakeHttp, FakeStore, Spawned, clock, json_answer, message
from tests.bridge.simulated import OURS, adapter_of

DELETING, TELLING = ("evolution", "waha", "wppconnect"), ("waha", "wppconnect")
CHAT = "553188887777@c.us"
DELETE = {
    "evolution": ("DELETE", "/chat/deleteMessageForEveryone/main",
                  {"id": "3EB0F", "remoteJid": "553188887777@s.whatsapp.net", "fromMe": True}),
    "waha": ("DELETE", "/api/main/chats/553188887777%40c.us/messages/true_553188887777%40c.us_3EB0F", None),
    "wppconnect": ("POST", "/api/main/delete-message",
                   {"phone": "553188887777", "isGroup": False, "messageId": "true_553188887777@c.us_3EB0F",
                    "deleteMediaInDevice": True}),
}  # fmt: skip
TELL = {
    "waha": "/api/main/chats/553188887777%40c.us/messages/true_553188887777%40c.us_3EB0F?downloadMedia=false",
    "wppconnect": "/api/main/message-by-id/true_553188887777%40c.us_3EB0F",
}


def withdraws(api: str) -> Withdrawing:
    adapter = adapter_of(api)
    assert isinstance(adapter, Withdrawing)
    return adapter


def tells(api: str) -> Telling:
    adapter = adapter_of(api)
    assert isinstance(adapter, Telling)
    return adapter


def test_who_can_do_what() -> None:
    assert tuple(api for api in OURS if isinstance(adapter_of(api), Withdrawing)) == DELETING
    assert tuple(api for api in OURS if isinstance(adapter_of(api), Telling)) == TELLING


@pytest.mark.parametrize("api", DELETING)
def test_a_deletion_names_the_chat_and_the_message(api: str) -> None:
    request = withdraws(api).withdraw_request(CHAT, "3EB0F")
    method, path, body = DELETE[api]
    assert (request.method, request.url) == (method, OURS[api]["url"] + path)
    assert request.json() == body


@pytest.mark.parametrize("api", TELLING)
def test_a_question_names_the_chat_and_the_message(api: str) -> None:
    request = tells(api).message_request(CHAT, "3EB0F")
    assert (request.method, request.url, request.body) == ("GET", OURS[api]["url"] + TELL[api], b"")


@pytest.mark.parametrize("recipient", [CHAT, "5531988887777", "103899771998284@lid"])
@pytest.mark.parametrize("api", DELETING)
def test_what_is_asked_stands_in_the_published_documents(api: str, recipient: str) -> None:
    request = withdraws(api).withdraw_request(recipient, "3EB0F")
    hold_request(api, request)
    if api in TELLING:
        hold_request(api, tells(api).message_request(recipient, "3EB0F"))


@pytest.mark.parametrize(
    ("recipient", "jid"),
    [(CHAT, "553188887777@s.whatsapp.net"), ("5531988887777", "5531988887777@s.whatsapp.net"), ("1@lid", "1@lid")],
)
def test_evolution_is_told_a_whole_jid(recipient: str, jid: str) -> None:
    body: Any = withdraws("evolution").withdraw_request(recipient, "3EB0F").json()
    assert body["remoteJid"] == jid


@pytest.mark.parametrize(
    ("status", "deleted"),
    [(200, True), (201, True), (400, False), (401, False), (404, False), (422, False), (429, False), (500, None)],
)
@pytest.mark.parametrize("api", DELETING)
def test_an_answer_says_whether_it_is_deleted(api: str, status: int, deleted: bool | None) -> None:
    assert withdraws(api).read_withdrawn(json_answer(status, {})) is deleted


def told(api: str, ack: object, **over: object) -> dict[str, Any]:
    found = {"id": f"true_{CHAT}_3EB0F", "fromMe": True, "ack": ack, **over}
    return found if api == "waha" else {"status": "Success", "response": {"data": found}}


@pytest.mark.parametrize(
    ("ack", "status"),
    [(-1, Status.FAILED), (0, None), (1, Status.SENT), (2, Status.DELIVERED), (3, Status.READ), (4, Status.READ),
     ("2", None), (None, None), (True, None)],
)  # fmt: skip
@pytest.mark.parametrize("api", TELLING)
def test_a_message_tells_how_far_it_has_come(api: str, ack: object, status: Status | None) -> None:
    assert tells(api).read_message(json_answer(200 if api == "waha" else 201, told(api, ack))) is status


@pytest.mark.parametrize("api", TELLING)
def test_anything_else_tells_nothing(api: str) -> None:
    nonsense = [
        json_answer(404, told(api, 2)), json_answer(500, told(api, 2)), json_answer(200, None), json_answer(200, []),
        json_answer(200, told(api, 2, fromMe=False)), HttpResponse(200, b"\xff{"),
    ]  # fmt: skip
    assert [tells(api).read_message(answer) for answer in nonsense] == [None] * len(nonsense)


class Asked:
    """The last words of a channel over WPPConnect that deletes, with a network in memory."""

    def __init__(self, tells: HttpOutcome | None, deletes: HttpOutcome | None, *, withdraws: bool = True) -> None:
        self.clock, self.spawned, self.http = clock(), Spawned(), FakeHttp()
        self.http.answers = {"message-by-id": tells, "delete-message": deletes}
        memory = PresenceMemory(
            FakeStore(), clock=self.clock, spawn=self.spawned, active_for=60.0, inactive_for=60.0, channel="zap"
        )
        memory.learn(same_person(PERSON), found("5511987650001@c.us", START))
        self.words = LastWords(
            adapter_of("wppconnect"), self.http, memory, clock=self.clock, spawn=self.spawned, withdraws=withdraws
        )
        self.said: list[LastWord] = []

    def ask(self, success: str = "delivered") -> list[LastWord]:
        attempts = [Attempt("zap", Attempted.WITHDRAWING, remote_id="3EB0F")]
        self.words.ask(msgspec.structs.replace(message(), attempts=attempts, success=success), self.said.append)
        self.clock.advance(0)
        self.spawned.check()
        return self.said


SENT, ARRIVED = json_answer(201, told("wppconnect", 1)), json_answer(201, told("wppconnect", 3))
DONE, FAILED = json_answer(200, {}), json_answer(401, {})


@pytest.mark.parametrize(
    ("tells", "deletes", "word"),
    [
        (ARRIVED, DONE, LastWord(Status.READ)),
        (SENT, DONE, LastWord(copy=Copy.DELETED)),
        (SENT, FAILED, LastWord(copy=Copy.KEPT)),
        (SENT, json_answer(500, {}), LastWord(copy=Copy.UNCLEAR)),
        (SENT, Unanswered("timeout"), LastWord(copy=Copy.UNCLEAR)),
        (SENT, NotWritten("refused"), LastWord(copy=Copy.KEPT)),
        (json_answer(400, {}), DONE, LastWord(copy=Copy.DELETED)),
        (NotWritten("refused"), NotWritten("refused"), LastWord(copy=Copy.KEPT)),
    ],
)
def test_the_last_word_follows_from_the_answers(tells: HttpOutcome, deletes: HttpOutcome, word: LastWord) -> None:
    asked = Asked(tells, deletes)
    assert asked.ask() == [word]
    assert len(asked.http.to("delete-message")) == (word.arrived is None), "what arrived is not deleted"


def test_without_the_key_nothing_is_deleted() -> None:
    asked = Asked(SENT, DONE, withdraws=False)
    assert asked.ask() == [LastWord()] and not asked.http.to("delete-message")
    assert (asked.words.asks, asked.words.withdraws) == (True, False)


def test_where_sent_is_enough_that_it_was_sent_is_an_answer() -> None:
    asked = Asked(SENT, DONE)
    assert asked.ask("sent") == [LastWord(Status.SENT)] and not asked.http.to("delete-message")


def test_both_requests_share_their_time() -> None:
    asked = Asked(None, DONE)
    asked.ask()
    asked.clock.advance(2.0)
    asked.http.answer_next("message-by-id", SENT)
    assert asked.http.timeouts == [3.0, 1.0]


def test_when_the_question_took_all_the_time_nothing_is_deleted() -> None:
    asked = Asked(None, DONE)
    asked.ask()
    asked.clock.advance(3.0)
    asked.http.answer_next("message-by-id", Unanswered("timeout"))
    assert asked.said == [LastWord()] and not asked.http.to("delete-message")


def test_only_so_many_are_asked_after_at_once() -> None:
    asked = Asked(None, DONE)
    for _ in range(MOST_CALLS + 5):
        asked.ask()
    assert len(asked.http.requests) == MOST_CALLS and asked.said == [LastWord()] * 5
    asked.http.answer_next("message-by-id", ARRIVED)
    asked.ask()
    assert len(asked.http.requests) == MOST_CALLS + 1, "one has said its word"


def test_a_question_that_breaks_is_an_answer_too() -> None:
    asked = Asked(SENT, DONE)

    async def breaks(request: HttpRequest, timeout: float) -> HttpOutcome:
        raise RuntimeError("no network")

    asked.http.send = breaks  # type: ignore[method-assign]
    attempts = [Attempt("zap", Attempted.WITHDRAWING, remote_id="3EB0F")]
    asked.words.ask(msgspec.structs.replace(message(), attempts=attempts), asked.said.append)
    asked.clock.advance(0)
    assert asked.said == [LastWord(copy=Copy.UNCLEAR)]
