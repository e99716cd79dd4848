"""A WhatsApp channel with time, network, store and delivery in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from bridge.channel import WhatsAppChannel
from bridge.presence import Evidence, pack, unpack
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered
from bridge.sender import MOST_IN_HAND
from config.schema import BridgeSettings
from gateway.background import Background
from gateway.messages.message import Attempt, Message
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    NoAccount,
    Refused,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)
from gateway.messages.states import State
from tests.bridge.fakes import (
    PERSON,
    START,
    FakeDelivery,
    FakeHttp,
    FakeStore,
    Spawned,
    Stage,
    clock,
    json_answer,
    message,
    people,
)

CHECK, SEND, STATE = "whatsappNumbers", "sendText", "connectionState"
JID = PERSON + "@s.whatsapp.net"
OPEN = json_answer(200, {"instance": {"instanceName": "main", "state": "open"}})
CLOSED = json_answer(200, {"instance": {"instanceName": "main", "state": "close"}})
LOGGED_OUT = json_answer(500, {"status": 500, "response": {"message": ["Connection Closed"]}})


def settings(**over: Any) -> BridgeSettings:
    values: dict[str, Any] = {
        "name": "zap", "provider": "evolution", "url": "http://127.0.0.1:8080", "api_key": "k3y", "instance": "main",
        "throughput": "200/s", "timeout": "3s", "lookup": {"budget": "6000/m", "when_unknown": "skip"},
        "health": {"window": "60s", "quarantine": "5m"},
    }  # fmt: skip
    for key, value in over.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return BridgeSettings.model_validate(values)


class Room(Stage):
    """A started channel. Every number has an account, every send is taken."""

    def __init__(self, store: FakeStore | None = None, spawn: Any = None, answered: Any = None, **over: Any) -> None:
        self.clock, self.http, self.store = clock(), FakeHttp(), store or FakeStore()
        self.spawned, self.delivery, self.marks = Spawned(), FakeDelivery(), list[str]()
        self.ids = (f"3EB0{n:04d}" for n in itertools.count())
        self.accounts: set[str] | None = None
        self.http.answers = {CHECK: self.check, SEND: self.take, STATE: OPEN}
        self.texts: dict[str, str | None] = {}
        configured = settings(**over)
        self.channel = WhatsAppChannel(
            configured,
            http=self.http,
            evidence=self.store,
            results=self.delivery,
            mark=self.marks.append,
            decode=self.decode,
            clock=self.clock,
            spawn=spawn or self.spawned,
            answered=answered,
        )
        Deferred.fromCoroutine(self.channel.start())
        self.turn()

    def decode(self, message: Message) -> str | None:
        return self.texts.get(message.id, message.user_data.decode())

    def check(self, request: HttpRequest) -> HttpOutcome:
        numbers = json.loads(request.body)["numbers"]
        known = [n for n in numbers if self.accounts is None or n in self.accounts]
        return json_answer(200, [{"jid": f"{n}@s.whatsapp.net", "exists": n in known, "number": n} for n in numbers])

    def take(self, request: HttpRequest) -> HttpOutcome:
        number = json.loads(request.body)["number"]
        return json_answer(201, {"key": {"id": next(self.ids), "remoteJid": number}, "status": "PENDING"})

    def hook(self, event: str, data: object) -> HttpResponse:
        body = json.dumps({"event": event, "instance": "main", "data": data}).encode()
        return self.receive(HttpRequest("POST", "/webhooks/zap", (), body))

    def receive(self, request: HttpRequest) -> HttpResponse:
        answer = Deferred.fromCoroutine(self.channel.receive_webhook(request))
        self.turn()
        assert isinstance(answer.result, HttpResponse), answer.result
        return answer.result

    def status(self, remote_id: str, status: str = "SERVER_ACK") -> HttpResponse:
        return self.hook("messages.update", {"keyId": remote_id, "fromMe": True, "status": status})

    def burst(self, count: int, prefix: str = "b") -> None:
        self.send(*(message(f"{prefix}{i}", number) for i, number in enumerate(people(count))))


# ------------------------------------------------------------------------------------------------------ one attempt


def impatient(id: str, patience_s: float) -> Message:
    """A message that another channel sends in so many seconds, unless word comes."""
    began = Attempt("zap", started_at=START)
    return structs.replace(message(id), plan=("zap", "operator"), fallback_after=patience_s, attempts=[began])


class Silent(FakeStore):
    """A store that takes questions and answers none."""

    async def read(self, people: Sequence[str]) -> list[bytes | None] | None:
        return await Deferred()


def test_what_is_cancelled_because_the_gateway_ends_is_no_failure() -> None:
    background, failures = Background(), list[LogEvent]()
    room = Room(Silent(), spawn=background.spawn)
    room.send(message())
    keep = lambda event: failures.append(event) if "log_failure" in event else None  # noqa: E731
    globalLogPublisher.addObserver(keep)
    try:
        assert background.running
        background.cancel()
    finally:
        globalLogPublisher.removeObserver(keep)
    assert (background.running, failures, room.delivery.batches) == ((), [], [])


def test_an_account_is_looked_up_then_marked_and_sent_to_its_identity() -> None:
    room = Room()
    room.http.answers[CHECK] = json_answer(
        200, [{"jid": "551187650001@s.whatsapp.net", "exists": True, "number": PERSON}]
    )
    room.send(message())
    assert room.http.bodies(SEND) == [
        {"number": "551187650001@s.whatsapp.net", "text": "Sua fatura vence amanha", "linkPreview": False}
    ]
    assert room.marks == ["m1"]
    assert room.result() == Accepted("3EB00000", "551187650001@s.whatsapp.net")
    assert [(id, found.result, found.origin) for id, found in room.delivery.lookups] == [("m1", "active", "provider")]
    assert room.channel.inflight == 0


def test_the_mark_is_set_right_before_the_request() -> None:
    room = Room()
    seen: list[list[str]] = []

    def taken(request: HttpRequest) -> HttpOutcome:
        seen.append(list(room.marks))
        return room.take(request)

    room.http.answers[SEND] = taken
    room.http.answers[CHECK] = None
    room.send(message())
    assert room.marks == []
    room.http.answer_next(CHECK, room.check(room.http.to(CHECK)[0]))
    room.turn()
    assert seen == [["m1"]]


def test_no_account_goes_on_at_once_without_a_send() -> None:
    room = Room()
    room.accounts = set()
    room.send(message())
    assert room.result() == NoAccount("provider")
    room.send(message("m2"))
    assert room.result("m2") == NoAccount("cache")
    assert room.http.to(SEND) == [] and room.marks == [] and len(room.http.to(CHECK)) == 1
    assert [found.result for _, found in room.delivery.lookups] == ["inactive", "inactive"]


@pytest.mark.parametrize(
    ("when_unknown", "enabled", "sends", "result"),
    [
        ("skip", True, 0, Refused("unknown", rejected=False)),
        ("send", True, 1, Accepted("3EB00000")),
        ("skip", False, 1, Accepted("3EB00000")),
        ("send", False, 1, Accepted("3EB00000")),
    ],
)
def test_what_unknown_means_is_configured(when_unknown: str, enabled: bool, sends: int, result: AttemptResult) -> None:
    room = Room(lookup={"when_unknown": when_unknown, "enabled": enabled})
    room.http.answers[CHECK] = HttpResponse(400, b"{}")
    room.send(message())
    assert room.result() == result
    assert [body["number"] for body in room.http.bodies(SEND)] == [PERSON] * sends
    assert len(room.http.to(CHECK)) == enabled
    assert len(room.delivery.lookups) == enabled


@pytest.mark.parametrize(("tries", "after_s"), [(0, 15.0), (1, 30.0), (9, 600.0)])
def test_where_no_channel_follows_an_account_is_asked_after_again(tries: int, after_s: float) -> None:
    room = Room()
    room.http.answers[CHECK] = HttpResponse(400, b"{}")
    room.send(structs.replace(message(), plan=("zap",), attempts=[Attempt("zap", started_at=START, tries=tries)]))
    assert room.result() == TryLater(after_s, "unknown")


def test_a_known_no_is_heeded_with_lookups_off_too() -> None:
    room = Room(lookup={"enabled": False})
    room.http.answers[SEND] = json_answer(400, {"response": {"message": [{"exists": False, "number": PERSON}]}})
    room.send(message())
    room.send(message("m2"))
    assert (room.result(), room.result("m2")) == (NoAccount("send", "400"), NoAccount("cache"))
    assert len(room.http.to(SEND)) == 1


def test_a_lookup_that_never_ends_costs_its_deadline() -> None:
    room = Room(lookup={"deadline": "2s"})
    room.http.answers[CHECK] = None
    room.send(message())
    room.turn(1.9)
    assert room.channel.inflight == 1
    room.turn(0.2)
    assert room.result() == Refused("unknown", rejected=False)


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Unanswered("timeout"), Uncertain("timeout")),
        (Unanswered("connection_lost"), Uncertain("connection_lost")),
        (NotWritten("refused"), ChannelDown("provider_down", "refused")),
        (HttpResponse(503), ChannelDown("provider_down", "503")),
        (LOGGED_OUT, ChannelDown("logged_out", "500")),
        (HttpResponse(429), TryLater(1.0, "throttled", "429", counted=False)),
        (json_answer(400, {"response": {"message": ["Error"]}}), Refused("refused", "400", rejected=False)),
    ],
)
def test_what_became_of_the_request_is_the_result(outcome: HttpOutcome, result: AttemptResult) -> None:
    room = Room()
    room.http.answers[SEND] = outcome
    room.send(message())
    assert room.result() == result
    assert len(room.http.to(SEND)) == 1 and room.http.timeouts[-1] in (3.0, 3)


@pytest.mark.parametrize("text", [None, "", "x" * 4097])
def test_what_whatsapp_cannot_carry_as_text_is_refused(text: str | None) -> None:
    room = Room()
    room.texts["m1"] = text
    room.send(message())
    assert room.result() == Refused("not_text", rejected=False)
    assert len(room.http.requests) == 1  # the state, at the start


def test_half_a_surrogate_pair_does_not_break_the_request() -> None:
    room = Room()
    room.texts["m1"] = "a\ud83d"
    room.send(message())
    assert room.http.bodies(SEND)[0]["text"] == "a\ufffd"


def test_a_message_that_ended_while_it_waited_is_not_written() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    ended = message()
    room.send(ended)
    ended.state = State.EXPIRED
    room.http.answer_next(CHECK, room.check(room.http.to(CHECK)[0]))
    room.turn()
    assert room.result() == Unwritten("over") and room.http.to(SEND) == [] and room.marks == []


@pytest.mark.parametrize(("plan", "left_s", "sends"), [
    (("zap", "operator"), 6.0, 1),
    (("zap", "operator"), 4.0, 0),
    (("operator", "zap"), 4.0, 1),
])  # fmt: skip
def test_what_would_be_sent_by_the_next_channel_too_before_word_can_come_is_left_to_it(
    plan: tuple[str, ...], left_s: float, sends: int
) -> None:
    room = Room()
    began = room.clock.seconds() - 30.0 + left_s
    late = structs.replace(message(), plan=plan, fallback_after=30.0, attempts=[Attempt("zap", started_at=began)])
    room.send(late)
    assert len(room.http.to(SEND)) == sends
    assert isinstance(room.result(), Accepted) if sends else room.result() == ChannelDown("timeout")


def test_a_lookup_is_not_waited_for_beyond_the_next_channels_turn() -> None:
    room = Room(lookup={"deadline": "30s"}, timeout="30s")
    room.http.answers[CHECK] = None
    room.send(impatient("m1", 6.0))
    room.turn(6.0)
    assert room.result() == ChannelDown("timeout")
    room.http.answer_next(CHECK, room.check(room.http.to(CHECK)[0]))
    room.turn()
    assert room.http.to(SEND) == [] and room.channel.inflight == 0


@pytest.mark.parametrize(("patience_s", "waited_s"), [(2.0, 2.0), (30.0, 3.0)])
def test_an_answer_is_waited_for_until_it_is_the_next_channels_turn(patience_s: float, waited_s: float) -> None:
    room = Room(timeout="3s")
    room.send(impatient("m1", patience_s))
    assert room.http.timeouts[-1] == waited_s


def test_results_leave_together() -> None:
    room = Room()
    room.send(message("w"))
    room.status("3EB00000")
    before = len(room.delivery.batches)
    room.http.answers[SEND] = None
    room.burst(3)
    room.turn(0.1)
    for _ in range(3):
        room.http.answer_next(SEND, json_answer(201, {"key": {"id": "x"}}))
    room.turn()
    assert [len(batch) for batch in room.delivery.batches[before:]] == [3]


# ---------------------------------------------------------------------------------------------- how much and how fast


def test_what_is_urgent_does_not_wait_behind_what_the_rate_holds_back() -> None:
    room = Room(throughput="1/s", health={"min_acks": 0})
    room.burst(9, "bulk")
    for id, priority in (("late", 2), ("urgent", 0), ("next", 0)):
        one = message(id, "5511987654321")
        one.priority = priority
        room.send(one)
    for _ in range(12):
        room.turn(1.1)
    assert list(room.delivery.results) == ["bulk0", "urgent", "next", *(f"bulk{n}" for n in range(1, 9)), "late"]


def test_what_urgent_ones_stay_ahead_of_is_left_to_the_next_channel_in_time() -> None:
    room = Room(throughput="1/s", health={"min_acks": 0})
    room.send(*(impatient(f"bulk{n}", 6.0) for n in range(5)))
    for n in range(9):
        code = message(f"code{n}")
        code.priority = 0
        room.send(code)
        room.turn(1.0)
    sent = [id for id, result in room.delivery.results.items() if isinstance(result, Accepted)]
    assert sent == ["bulk0", *(f"code{n}" for n in range(8))]
    assert [room.result(f"bulk{n}") for n in range(1, 5)] == [ChannelDown("timeout")] * 4


def test_no_second_holds_more_sends_than_the_throughput() -> None:
    room = Room(throughput="6/s", health={"min_acks": 0})
    sent_at: list[float] = []

    def taken(request: HttpRequest) -> HttpOutcome:
        sent_at.append(room.clock.seconds())
        return room.take(request)

    room.http.answers[SEND] = taken
    room.burst(24)
    for _ in range(500):
        room.turn(0.01)
    assert len(sent_at) == 24
    assert max(sum(begin <= at < begin + 1.0 for at in sent_at) for begin in sent_at) <= 6
    assert sent_at[-1] - sent_at[0] < 4.2


def test_only_so_many_messages_are_in_hand() -> None:
    room = Room(throughput="1000/s", health={"min_acks": 0})
    room.http.answers[SEND] = None
    assert room.channel.capacity() == MOST_IN_HAND
    taken = 0
    while (free := room.channel.capacity()) and taken < 2000:
        room.send(*(message(f"m{taken + i}", number) for i, number in enumerate(people(free))))
        taken += free
        room.turn(0.3)
    assert (taken, room.channel.inflight, len(room.http.to(SEND))) == (256, 256, 128)
    changes = room.delivery.changes
    room.http.answer_next(SEND, json_answer(201, {"key": {"id": "x"}}))
    room.turn()
    assert room.channel.capacity() == 1 and room.delivery.changes > changes


def test_a_slow_channel_keeps_its_queue_outside() -> None:
    assert Room(throughput="5/s", health={"min_acks": 0}).channel.capacity() == 32


def test_throttling_slows_down_and_the_rate_comes_back() -> None:
    room = Room(throughput="100/s", health={"min_acks": 0})
    room.http.answers[SEND] = HttpResponse(429)
    room.burst(10)
    room.turn(0.2)
    assert room.channel.senders["main"].condition.pace.rate == 50.0
    room.http.answers[SEND] = room.take
    for _ in range(10):
        room.turn(1.0)
    assert room.channel.senders["main"].condition.pace.rate == 100.0


# ------------------------------------------------------------------------------------------------------------ webhooks


def test_statuses_and_texts_are_handed_in_and_then_acknowledged() -> None:
    room = Room()
    assert room.status("3EB0A1", "READ").status == 200
    assert [(r.remote_id, r.status) for r in room.delivery.reports] == [("3EB0A1", Status.READ)]
    key = {"remoteJid": "551187650001@s.whatsapp.net", "fromMe": False, "id": "A1"}
    assert room.hook("messages.upsert", {"key": key, "message": {"conversation": "oi"}}).status == 200
    assert [text.text for text in room.delivery.texts] == ["oi"]
    assert unpack(room.store.values[f"zap:{PERSON}"]).inbound_at == room.clock.seconds()


def test_what_could_not_be_kept_must_come_again() -> None:
    room = Room()
    room.delivery.keeps = False
    assert room.status("3EB0A1").status == 503


def test_reports_of_one_turn_are_handed_in_together_and_then_each_webhook_is_answered() -> None:
    room = Room()

    def webhook(remote_id: str) -> Deferred[HttpResponse]:
        data = {"keyId": remote_id, "fromMe": True, "status": "SERVER_ACK"}
        body = json.dumps({"event": "messages.update", "instance": "main", "data": data}).encode()
        return Deferred.fromCoroutine(room.channel.receive_webhook(HttpRequest("POST", "/w", (), body)))

    for keeps, status in ((True, 200), (False, 503)):
        room.delivery.keeps = keeps
        answers = [webhook(remote_id) for remote_id in ("a", "b", "c")]
        assert not any(answer.called for answer in answers)
        room.turn()
        assert [answer.result for answer in answers] == [HttpResponse(status)] * 3
    assert room.delivery.handed_in == [3, 3]
    assert [report.remote_id for report in room.delivery.reports] == ["a", "b", "c"] * 2
    room.delivery.keeps = True
    assert room.status("d").status == 200
    assert room.delivery.handed_in == [3, 3, 1]


def test_a_store_that_never_answers_has_not_kept_it() -> None:
    room = Room()
    room.delivery.keeps = None
    body = json.dumps({"event": "messages.update", "data": {"keyId": "a", "status": "READ"}}).encode()
    answer = Deferred.fromCoroutine(room.channel.receive_webhook(HttpRequest("POST", "/w", (), body)))
    room.turn(14)
    assert not answer.called
    room.turn(2)
    assert answer.result == HttpResponse(503)


def test_a_bad_proof_changes_nothing() -> None:
    room = Room(webhook_secret="hush")
    assert room.hook("connection.update", {"state": "close", "statusReason": 401}).status == 401
    assert room.status("3EB0A1").status == 401
    assert room.channel.up and room.delivery.reports == []


def test_nonsense_is_answered_and_forgotten() -> None:
    room = Room()
    for body in (b"", b"rubbish", b"[]", b'{"event": 7}', b"null"):
        answer = Deferred.fromCoroutine(room.channel.receive_webhook(HttpRequest("POST", "/w", (), body)))
        assert answer.result == HttpResponse(200)


@pytest.mark.parametrize(
    ("status", "no_account", "sends"),
    [(Status.DELIVERED, False, 1), (Status.READ, False, 1), (Status.SENT, False, 0), (Status.FAILED, False, 0)],
)
def test_reports_teach_presence(status: Status, no_account: bool, sends: int) -> None:
    room = Room()
    room.accounts = set()
    room.store.values[f"zap:{PERSON}"] = pack(Evidence(no_at=START - 60))
    room.channel.learn(PERSON, status, no_account, 3.0)
    room.turn()
    room.send(message())
    assert len(room.http.to(SEND)) == sends


def test_a_failure_for_want_of_an_account_is_a_no() -> None:
    room = Room()
    room.channel.learn("551187650001", Status.FAILED, True, 3.0)
    room.turn()
    room.send(message())
    assert room.result() == NoAccount("cache")


# -------------------------------------------------------------------------------------------------------------- health


def test_a_provider_that_takes_and_never_acknowledges_gets_twenty_messages() -> None:
    """R21."""
    room = Room()
    room.burst(30)
    room.turn(0.5)
    assert len(room.http.to(SEND)) == 20 and room.channel.capacity() == 0 and room.channel.up
    for _ in range(6):
        room.turn(1.0)
    assert room.channel.quarantined and not room.channel.up and room.channel.capacity() == 0
    assert len(room.http.to(SEND)) == 20
    turned_away = [r for r in room.delivery.results.values() if r == ChannelDown("quarantine")]
    assert len(turned_away) == 10 and room.channel.inflight == 0


def test_the_first_acknowledgement_lets_the_waiting_ones_go() -> None:
    room = Room()
    room.burst(30)
    room.turn(0.5)
    assert len(room.http.to(SEND)) == 20
    room.status("3EB00007")
    for _ in range(10):
        room.clock.advance(0.02)
    assert len(room.http.to(SEND)) == 30 and room.channel.up


def test_statuses_that_came_to_another_node_count_before_a_sender_is_put_aside() -> None:
    asked: list[list[str]] = []
    told: list[list[str] | None] = [None, [f"3EB0{n:04d}" for n in range(10)], []]  # the store is away at first

    async def answered(ids: Sequence[str]) -> list[str] | None:
        asked.append(sorted(ids))
        return told[min(len(asked), len(told)) - 1]

    room = Room(answered=answered)
    room.burst(20)
    room.turn(8.0)
    ids = [f"3EB0{n:04d}" for n in range(20)]
    assert asked == [ids, ids] and room.channel.up
    room.burst(40, "c")
    room.turn(10.0)
    assert room.channel.quarantined, "nobody has heard of these"


def test_after_the_quarantine_one_acknowledged_message_opens_the_channel() -> None:
    """R21."""
    room = Room()
    room.burst(20)
    for _ in range(7):
        room.turn(1.0)
    assert room.channel.quarantined
    probes = len(room.http.to(STATE))
    for _ in range(30):
        room.turn(10.0)
    assert len(room.http.to(STATE)) == probes + 1
    assert room.channel.up and room.channel.capacity() == 1
    room.send(message("probe"))
    assert not room.channel.up and room.channel.capacity() == 0
    accepted = room.result("probe")
    assert isinstance(accepted, Accepted)
    room.status(accepted.remote_id)
    assert room.channel.up and not room.channel.quarantined and room.channel.capacity() > 100


def test_a_trial_message_without_an_account_leaves_the_trial_to_the_next() -> None:
    room = Room()
    room.burst(20)
    for _ in range(31):
        room.turn(10.0)
    room.accounts = set()
    room.send(message("probe"))
    assert room.result("probe") == NoAccount("provider")
    assert room.channel.up and room.channel.capacity() == 1


def test_a_logged_out_session_rests_for_the_quarantine_and_comes_back_with_its_state() -> None:
    room = Room()
    room.http.answers[CHECK] = None
    room.send(message())
    room.hook("connection.update", {"state": "close", "statusReason": 401})
    assert room.result() == ChannelDown("logged_out")  # it was not written yet
    assert room.channel.quarantined and not room.channel.up
    room.send(message("m2"))
    assert room.result("m2") == ChannelDown("logged_out")
    room.http.answers[STATE] = CLOSED
    for _ in range(61):
        room.turn(5.0)
    assert not room.channel.up
    room.http.answers[STATE] = OPEN
    room.hook("connection.update", {"state": "open", "statusReason": 200})
    room.turn(1.1)
    assert room.channel.up and not room.channel.quarantined and room.channel.capacity() > 1


def test_a_webhook_that_is_no_json_is_in_the_log_without_its_body() -> None:
    room = Room()
    with capturedLogs() as events:
        for body in (b"\x1f\x8b\x08\x00", b'{"text": "ola', b"{}", b""):
            request = HttpRequest("POST", "/webhooks/zap", (), body)
            assert room.receive(request) == HttpResponse(200)
        zipped = HttpRequest("POST", "/webhooks/zap", (("Content-Encoding", "gzip"),), b"\x1f\x8b\x08\x00")
        assert room.receive(zipped).status == 415, "it was not read, and has to come again"
        room.turn(61.0)
        room.receive(zipped)
    said = "webhook of zap is no JSON: nothing of it was read"
    assert [formatEvent(event) for event in events] == [said, f"{said} (2 more since the last line)"]


def test_the_log_says_why_a_sender_is_down_also_when_that_changes() -> None:
    said: list[str] = []
    keep = lambda event: said.append(formatEvent(event)) if event.get("log_format") == "{sender} is {state}" else None  # noqa: E731
    globalLogPublisher.addObserver(keep)
    try:
        room = Room()
        room.http.answers[SEND] = NotWritten("refused")
        room.http.answers[STATE] = CLOSED
        room.send(message())
        for _ in range(5):
            room.turn(1.1)
        room.http.answers[STATE] = OPEN
        for _ in range(12):
            room.turn(1.1)
    finally:
        globalLogPublisher.removeObserver(keep)
    assert said == ["zap is up", "zap is down: unreachable (refused)", "zap is down: logged_out", "zap is up"]


@pytest.mark.parametrize("answer", [HttpResponse(301), HttpResponse(200, b"<html>Welcome</html>")])
def test_the_log_says_that_a_url_leads_to_no_provider(answer: HttpResponse) -> None:
    room = Room()
    room.http.answers |= {CHECK: answer, STATE: answer}
    with capturedLogs() as events:
        for n, person in enumerate(people(3)):
            room.send(message(f"m{n}", person))
            room.turn(6.0)
    assert len(room.http.to(STATE)) == 4
    assert [formatEvent(event) for event in events] == [
        f"zap was asked for its state and got HTTP {answer.status}, no answer of such a provider: is its url right?"
    ], "once"


def test_a_send_that_meets_a_closed_session_rests_the_channel() -> None:
    room = Room()
    room.http.answers[SEND] = LOGGED_OUT
    room.send(message())
    assert room.channel.quarantined and not room.channel.up


@pytest.mark.parametrize(
    ("failure", "state", "up", "quarantined"),
    [
        (json_answer(400, {"output": {"statusCode": 428}}), CLOSED, False, True),
        (NotWritten("refused"), NotWritten("refused"), False, False),
        (json_answer(400, {"output": {"statusCode": 408}}), OPEN, True, False),
        (Unanswered("timeout"), Unanswered("timeout"), True, False),
    ],
    ids=["logged out", "unreachable", "well", "slow"],
)
def test_a_sender_whose_lookups_fail_is_asked_how_it_is(
    failure: HttpOutcome, state: HttpOutcome, up: bool, quarantined: bool
) -> None:
    room = Room()
    room.http.answers |= {CHECK: failure, STATE: state}
    room.send(message())
    assert room.http.to(SEND) == [] and isinstance(room.result(), Refused if up else ChannelDown), "the next channel"
    assert (room.channel.up, room.channel.quarantined) == (up, quarantined)
    probes = len(room.http.to(STATE))
    room.http.answers |= {CHECK: room.check, STATE: OPEN}
    room.turn(5.0)
    assert room.channel.up and len(room.http.to(STATE)) == probes + (not up)
    room.send(message("m2"))
    assert isinstance(room.result("m2"), Accepted)


def test_a_broken_line_is_looked_into_before_anything_is_believed() -> None:
    room = Room()
    room.hook("connection.update", {"state": "close", "statusReason": 428})
    assert room.channel.up
    room.http.answers[STATE] = CLOSED
    room.hook("connection.update", {"state": "close", "statusReason": 428})
    assert not room.channel.up
    room.http.answers[STATE] = OPEN
    room.turn(2.1)
    room.turn(0.1)
    assert room.channel.up


def test_a_provider_that_refuses_connections_is_used_again_within_seconds() -> None:
    room = Room()
    room.http.answers |= {SEND: NotWritten("refused"), STATE: NotWritten("refused")}
    room.send(message())
    assert not room.channel.up and not room.channel.quarantined
    for _ in range(60):
        room.turn(1.0)
    assert not room.channel.up and 12 <= len(room.http.to(STATE)) <= 20
    room.http.answers |= {SEND: room.take, STATE: OPEN}
    for _ in range(6):
        room.turn(1.0)
    assert room.channel.up
    room.send(message("m2"))
    assert isinstance(room.result("m2"), Accepted)


def test_a_provider_that_is_away_at_the_start_is_found_out_before_any_message() -> None:
    room = Room()
    for state, up in ((OPEN, True), (HttpResponse(500), True), (CLOSED, False), (NotWritten("refused"), False)):
        room.http.answers[STATE] = state
        fresh = Room.__new__(Room)
        fresh.__dict__ |= room.__dict__
        fresh.channel = WhatsAppChannel(
            settings(), http=room.http, evidence=room.store, results=room.delivery,
            mark=room.marks.append, decode=room.decode, clock=room.clock, spawn=room.spawned,
        )  # fmt: skip
        Deferred.fromCoroutine(fresh.channel.start())
        fresh.turn()
        assert fresh.channel.up is up, state


# ---------------------------------------------------------------------------------------------------------------- stop


def test_stopping_hands_back_what_is_not_written_and_waits_for_the_rest() -> None:
    room = Room()
    room.http.answers[SEND] = None
    room.send(message("written"))
    room.http.answers[CHECK] = None
    room.send(message("waiting", people(1)[0]))
    stopped = Deferred.fromCoroutine(room.channel.stop())
    room.turn()
    assert room.result("waiting") == Unwritten("stopping") and not stopped.called
    assert room.channel.capacity() == 0
    room.http.answer_next(SEND, json_answer(201, {"key": {"id": "3EB0"}}))
    room.turn()
    assert stopped.called and not isinstance(stopped.result, Failure)
    assert room.result("written") == Accepted("3EB0")
    assert room.channel.inflight == 0
    room.send(message("late"))
    assert room.result("late") == Unwritten("stopping")


def test_stopping_does_not_wait_for_ever() -> None:
    room = Room()
    room.http.answers[SEND] = None
    room.send(message())
    stopped = Deferred.fromCoroutine(room.channel.stop())
    room.turn(4.1)
    assert stopped.called and room.result() == Uncertain("timeout")


def test_every_message_comes_back_exactly_once() -> None:
    room = Room(throughput="50/s", lookup={"deadline": "1s"})
    outcomes: Iterator[HttpOutcome | None] = itertools.cycle(
        [None, None, HttpResponse(500), HttpResponse(429), Unanswered("timeout"), NotWritten("refused")]
    )

    def taken(request: HttpRequest) -> HttpOutcome:
        outcome = next(outcomes)
        return outcome if outcome is not None else room.take(request)

    room.http.answers[SEND] = taken
    given = 0
    for index in range(200):
        free = min(3, room.channel.capacity())
        for number in people(free):
            room.channel.send(message(f"m{given}", number))
            given += 1
        room.turn(0.1)
        if index % 3 == 0 and room.http.to(SEND):
            room.status(f"3EB0{index // 3:04d}")
    Deferred.fromCoroutine(room.channel.stop())
    room.turn(5.0)
    back = [one.id for batch in room.delivery.batches for one, _ in batch]
    assert len(back) == len(set(back)) == given > 20


# ------------------------------------------------------------------------------------------------------------ limits


def test_past_its_daily_cap_a_sender_gives_to_the_next_channel_and_a_restart_changes_nothing() -> None:
    """R22."""
    room = Room(limits={"day": 3}, health={"min_acks": 0})
    room.burst(5)
    room.turn(1.0)
    sent = [id for id, result in room.delivery.results.items() if isinstance(result, Accepted)]
    assert len(sent) == 3 and len(room.http.to(SEND)) == 3
    assert [room.result(f"b{n}") for n in (3, 4)] == [Refused("daily_cap", rejected=False)] * 2
    again = Room(limits={"day": 3}, health={"min_acks": 0}, store=room.store)
    again.send(message("m9", people(9)[8]))
    assert again.result("m9") == Refused("daily_cap", rejected=False) and again.http.to(CHECK) == []
    again.turn(25 * 3600.0)
    again.send(message("m10", people(9)[8]))
    assert again.result("m10") == Accepted("3EB00000", people(9)[8] + "@s.whatsapp.net")


def test_the_last_channel_waits_for_the_next_day() -> None:
    room = Room(limits={"day": 1})
    one = message("m2", people(2)[1])
    one.plan = ("zap",)
    room.send(message(), one)
    result = room.result("m2")
    assert isinstance(result, TryLater) and (result.reason, result.counted) == ("daily_cap", False)
    assert 0 < result.after_s <= 86_400


def test_a_send_that_nobody_took_is_not_counted() -> None:
    room = Room(limits={"day": 1})
    room.http.answers[SEND] = json_answer(400, {"response": {"message": ["Error"]}})
    room.send(message())
    room.http.answers[SEND] = room.take
    room.send(message("m2"), message("m3"))
    assert isinstance(room.result("m2"), Accepted) and room.result("m3") == Refused("daily_cap", rejected=False)


def test_a_new_sender_warms_up() -> None:
    """R22."""
    room = Room(limits={"warm_up": [2, 4]}, health={"min_acks": 0})
    for day, most in enumerate((2, 4, 9)):
        room.send(*(message(f"d{day}-{n}", number) for n, number in enumerate(people(9))))
        room.turn(1.0)
        taken = [room.result(f"d{day}-{n}") for n in range(9)]
        assert sum(isinstance(one, Accepted) for one in taken) == most
        room.clock.advance(86_400.0)
        room.turn(1.0)


def test_messages_to_one_person_keep_their_distance() -> None:
    room = Room(limits={"person": "6s"})
    room.send(*(message(f"m{n}") for n in range(4)), message("other", people(1)[0]))
    assert set(room.delivery.results) == {"m0", "other", "m2", "m3"}
    later, latest = room.result("m2"), room.result("m3")
    assert isinstance(later, TryLater) and isinstance(latest, TryLater)
    assert (later.after_s, later.reason, later.counted) == (12.0, "pair_rate", False)
    assert latest.after_s == pytest.approx(12.001), "in the order in which they came"
    room.turn(5.9)
    assert "m1" not in room.delivery.results
    room.turn(0.2)
    assert isinstance(room.result("m1"), Accepted)


def test_whoever_would_have_to_wait_for_the_next_channels_turn_is_left_to_it_at_once() -> None:
    room = Room(limits={"person": "8s"})
    room.send(message("m0"), impatient("m1", 6.0))
    assert room.result("m1") == TryLater(8.0, "pair_rate", counted=False)
    room.channel.senders["main"].allowance.close(people(1)[0], 5.0)
    room.send(structs.replace(impatient("m2", 4.0), msisdn=people(1)[0]))
    assert room.result("m2") == TryLater(5.0, "pair_rate", counted=False)


@pytest.mark.parametrize(("ago", "gap", "wait"), [(600, "1h", 3000.0), (3700, "1h", 0.0), (2, "6s", 4.0)])
def test_messages_to_one_person_keep_their_distance_over_a_restart(ago: int, gap: str, wait: float) -> None:
    store, at = FakeStore(), START - ago
    store.values[f"zap:{PERSON}"] = pack(Evidence(identity=JID, sent_at=at, delivered_at=at))
    room = Room(limits={"person": gap}, store=store)
    room.send(message())
    if wait > 10.0:
        assert room.result() == TryLater(wait, "pair_rate", counted=False)
        return
    assert bool(room.http.to(SEND)) == (not wait)
    room.turn(wait)
    assert isinstance(room.result(), Accepted)


def test_a_message_that_keeps_its_distance_goes_back_when_the_sender_goes_down() -> None:
    room = Room(limits={"person": "6s"})
    room.send(message("m0"), message("m1"))
    room.hook("connection.update", {"instance": "main", "state": "close", "statusReason": 401})
    assert room.result("m1") == ChannelDown("logged_out")
    room.turn(7.0)
    assert len(room.http.to(SEND)) == 1 and room.channel.inflight == 0
