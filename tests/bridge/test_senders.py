"""Several senders of the official service in one channel: how far an error reaches, and whose webhook it is."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest
from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bridge.channel import WhatsAppChannel
from bridge.dry_run import DryEvidence, DryHttp, pretending, rehearsing
from bridge.faults import Circuits
from bridge.limits import Tally
from bridge.limits import pack as packed_tally
from bridge.limits import unpack as unpacked_tally
from bridge.presence import Evidence, pack, unpack
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Unanswered
from bridge.providers import provider_of
from config.schema import BridgeSettings
from gateway.messages.address import same_person
from gateway.messages.outcome import DRY_RUN, Accepted, ChannelDown, Refused, Status, TryLater, Unwritten
from tests.bridge.fakes import (
    PERSON,
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

ME, DEAR = same_person(PERSON), "Sua fatura vence amanha"
TEMPLATE = {"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"]}
ONE, TWO = "https://one.example/v25.0", "https://two.example/v25.0"
# What each has in common with a: b its token, c its account, d its provider, e nothing.
SENDERS: dict[str, dict[str, str]] = {
    "a": {"instance": "101", "api_key": "t1", "business_account": "X", "url": ONE, "app_secret": "s1"},
    "b": {"instance": "102", "api_key": "t1", "business_account": "Y", "url": TWO, "app_secret": "s1"},
    "c": {"instance": "103", "api_key": "t2", "business_account": "X", "url": TWO, "app_secret": "s2"},
    "d": {"instance": "104", "api_key": "t3", "business_account": "Z", "url": ONE, "app_secret": "s3"},
    "e": {"instance": "105", "api_key": "t4", "business_account": "V", "url": TWO, "app_secret": "s4"},
}
CONNECTED = json_answer(200, {"id": "1", "status": "CONNECTED"})


def error(code: int, status: int = 400) -> HttpResponse:
    return json_answer(status, {"error": {"code": code, "message": "m"}})


class Room(Stage):
    """Started channels of one node: `zap`, and others. Every send is taken but for `answers`, by sender."""

    def __init__(self, *names: str, store: FakeStore | None = None, **over: Any) -> None:
        self.clock: Clock = clock()
        self.http, self.store, self.spawned = FakeHttp(), store or FakeStore(), Spawned()
        self.delivery, self.circuits = FakeDelivery(), Circuits()
        self.counted: list[tuple[str, ...]] = []
        self.answers: dict[str, Callable[[], HttpOutcome] | HttpOutcome] = {}
        self.ids = (f"wamid.{n}" for n in itertools.count())
        for name, own in SENDERS.items():
            self.http.answers[f"/{own['instance']}/messages"] = lambda request, name=name: self._take(name)  # type: ignore[misc]
            self.http.answers[f"/{own['instance']}?"] = CONNECTED
        self.channel = self.open("zap", *names, **over)

    def open(self, channel: str, *names: str, **over: Any) -> WhatsAppChannel:
        own: dict[str, dict[str, Any]] = over.pop("own", {})
        values: dict[str, Any] = {
            "name": channel, "provider": "cloud_api", "url": ONE, "throughput": "200/s", "timeout": "3s",
            "health": {"min_acks": 0, "window": "60s", "quarantine": "5m"}, "templates": [TEMPLATE],
            "senders": [{"name": name, **SENDERS[name], **own.get(name, {})} for name in names], **over,
        }  # fmt: skip
        made = WhatsAppChannel(
            BridgeSettings.model_validate(values), http=self.http, evidence=self.store, results=self.delivery,
            mark=lambda _: None, decode=lambda one: one.user_data.decode(), clock=self.clock, spawn=self.spawned,
            circuits=self.circuits, count=lambda name, *labels: self.counted.append((name, *labels)),
        )  # fmt: skip
        Deferred.fromCoroutine(made.start())
        self.turn()
        return made

    def _take(self, name: str) -> HttpOutcome:
        answer = self.answers.get(name)
        if answer is None:
            return json_answer(200, {"messages": [{"id": next(self.ids)}]})
        return answer() if callable(answer) else answer

    def ours(self, sender: str, person: str = PERSON) -> None:
        """From now on this sender writes to this person."""
        self.store.values[f"zap:{same_person(person)}"] = pack(Evidence(sender=sender))

    @property
    def evidence(self) -> Evidence:
        return unpack(self.store.values[f"zap:{ME}"])

    def sends(self, sender: str) -> list[Any]:
        return self.http.bodies(f"/{SENDERS[sender]['instance']}/messages")

    @property
    def up(self) -> set[str]:
        return {name for name, sender in self.channel.senders.items() if sender.condition.up}

    def hook(self, sender: str, *, secret: str = "", field: str = "messages", **value: object) -> int:
        own = SENDERS[sender]
        changes = [{"field": field, "value": {"metadata": {"phone_number_id": own["instance"]}, **value}}]
        return self.post({"entry": [{"id": own["business_account"], "changes": changes}]}, secret or own["app_secret"])

    def post(self, content: object, secret: str) -> int:
        body = json.dumps(content).encode()
        proof = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        request = HttpRequest("POST", "/webhooks/zap", (("X-Hub-Signature-256", proof),), body)
        answer = Deferred.fromCoroutine(self.channel.receive_webhook(request))
        self.turn()
        assert isinstance(answer.result, HttpResponse), answer.result
        return answer.result.status

    def writes_to(self, sender: str) -> None:
        text = {"from": PERSON, "id": "i", "timestamp": str(int(self.clock.seconds())), "type": "text"}
        assert self.hook(sender, messages=[{**text, "text": {"body": "oi"}}]) == 200


# ------------------------------------------------------------------------------------------------- how far it reaches

REACH: dict[str, tuple[int, ...]] = {
    "": (131026, 131047, 131049, 131000, 131008, 132000, 132015, 131051, 131056, 130429, 80007, 999999),
    "a": (131037, 131045, 131048, 131057, 133010, 33),
    "ab": (0, 3, 10, 190, 200, 299, 131005),
    "ac": (368, 131031, 131042, 131064),
    "ad": (2, 131016, 133004),
}


@pytest.mark.parametrize(("code", "closed"), [(code, closed) for closed, codes in REACH.items() for code in codes])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "by a status"])
def test_an_error_closes_no_more_than_it_concerns(code: int, closed: str, later: bool) -> None:
    room = Room(*SENDERS)
    room.ours("a")
    if later:
        room.send(message())
        errors = [{"code": code}]
        room.hook("a", statuses=[
            {"id": "wamid.0", "status": "failed", "timestamp": str(int(room.clock.seconds())), "errors": errors}
        ])  # fmt: skip
    else:
        room.answers["a"] = error(code)
        room.send(message())
    assert set(SENDERS) - room.up == set(closed)


def test_a_connection_that_is_refused_closes_those_at_the_same_address_and_one_5xx_nobody() -> None:
    room = Room(*SENDERS)
    room.ours("a")
    room.answers["a"] = HttpResponse(503)
    room.send(message())
    assert room.up == set(SENDERS)
    room.answers["a"] = NotWritten("connect")
    room.send(message("m2"))
    assert set(SENDERS) - room.up == {"a", "d"}


def test_an_account_that_is_closed_is_closed_for_other_channels_too() -> None:
    room = Room("a", "b")
    other = room.open("other", "c", "e")
    room.ours("a")
    room.answers["a"] = error(131031)
    room.send(message())
    assert (room.up, other.senders["c"].condition.up, other.senders["e"].condition.up) == ({"b"}, False, True)
    assert other.sender_status()[0]["state"] == "account_blocked"
    Deferred.fromCoroutine(other.stop())
    room.turn(301.0)
    assert "a" in room.up, "it is on trial"
    room.ours("a", people(1)[0])
    room.answers["a"] = error(131031)
    room.send(message("m2", people(1)[0]))
    assert other.senders["c"].condition.word == "account_blocked", "a channel that has stopped is not touched any more"


def test_who_is_closed_with_another_hands_on_what_it_held() -> None:
    room = Room("a", "c", "e", throughput="1/s")
    crowd = people(4)
    for person in crowd:
        room.ours("c", person)
    room.ours("a")
    room.send(*(message(f"c{index}", person) for index, person in enumerate(crowd)))
    assert len(room.sends("c")) < 4
    room.answers["a"] = error(131042)
    room.send(message())
    room.turn(5.0)
    assert {type(result) for result in room.delivery.results.values()} == {Accepted}
    assert len(room.sends("e")) >= 4 and room.up == {"e"}
    assert ("pombo_sender_moves", "zap", "a", "e", "account_blocked") in room.counted
    assert ("pombo_sender_moves", "zap", "c", "e", "account_blocked") in room.counted


def test_130429_slows_one_sender_down_and_closes_it_when_most_of_its_sends_meet_it() -> None:
    room = Room("a", "d")
    crowd = people(30)
    for person in crowd:
        room.ours("a", person)
    room.answers["a"] = error(130429)
    rates: Callable[[], list[float]] = lambda: [one.condition.pace.rate for one in room.channel.senders.values()]  # noqa: E731
    room.send(message("m0", crowd[0]))
    assert rates() == [100.0, 200.0] and room.up == {"a", "d"}
    assert isinstance(room.result("m0"), TryLater)
    for index, person in enumerate(crowd[1:], 1):
        room.send(message(f"m{index}", person))
        room.turn(0.1)
    assert room.up == {"d"} and len(room.sends("a")) == 20
    assert isinstance(room.result("m29"), Accepted), "the others go by the other sender"
    assert not room.channel.senders["a"].condition.quarantined, "for seconds only"
    room.answers.clear()
    room.turn(7.0)
    room.send(message("later", crowd[0]))
    assert len(room.sends("a")) == 21 and room.sends("a")[-1]["to"].endswith(crowd[0][-8:]), "and its people come back"


@pytest.mark.parametrize("later", [False, True], ids=["at once", "by a status"])
def test_131056_closes_one_person_at_one_sender(later: bool) -> None:
    room = Room("a", "e")
    stranger = people(1)[0]
    room.ours("a")
    room.ours("a", stranger)
    if later:
        room.send(message())
        room.channel.learn(PERSON, Status.FAILED, False, 0.5, "131056", 0.0, "a")
    else:
        room.answers["a"] = error(131056)
        room.send(message())
        assert room.result() == TryLater(1.0, "pair_rate", "131056")
        room.answers.clear()
    room.send(message("m2"), message("m3", stranger))
    assert isinstance(room.result("m3"), Accepted) and "m2" not in room.delivery.results
    room.turn(6.5)
    assert isinstance(room.result("m2"), Accepted)
    assert room.sends("e") == [] and len(room.sends("a")) == 3


def test_the_distance_between_messages_is_that_of_one_sender() -> None:
    room = Room("a", "e", limits={"person": "1h"})
    room.ours("a")
    room.send(message())
    room.send(message("m2"))
    assert isinstance(room.result("m2"), TryLater)
    assert room.hook("a", statuses=[]) == 200
    room.writes_to("e")
    room.send(message("m3"))
    assert isinstance(room.result("m3"), Accepted) and len(room.sends("e")) == 1


def test_a_template_that_is_paused_is_so_for_its_account_alone() -> None:
    room = Room("a", "c", "e")
    for index, sender in enumerate("ace"):
        room.ours(sender, people(3)[index])
    room.answers["a"] = error(132015)
    room.send(message("a", people(3)[0]))
    room.send(message("c", people(3)[1]), message("e", people(3)[2]))
    assert room.result("c") == Refused("no_template", rejected=False), "of the same account"
    assert isinstance(room.result("e"), Accepted) and room.up == {"a", "c", "e"}


def test_direct_send_that_one_account_has_not_works_for_the_other() -> None:
    room = Room("a", "e", direct_send=True)
    for sender, person in zip("aaee", people(4), strict=True):
        room.ours(sender, person)
    room.answers["a"] = error(139200)
    room.send(*(message(f"m{index}", person, text="Outro texto") for index, person in enumerate(people(4)[:1])))
    room.send(*(message(f"m{index}", person, text="Outro texto") for index, person in enumerate(people(4)[1:], 1)))
    assert room.result("m1") == Refused("no_template", rejected=False)
    assert isinstance(room.result("m2"), Accepted) and isinstance(room.result("m3"), Accepted)


# ------------------------------------------------------------------------------------------------ threads and windows


def test_the_window_is_open_for_the_sender_that_was_written_to() -> None:
    room = Room("a", "e")
    room.writes_to("e")
    room.send(message(text="qualquer coisa"))
    assert [body["type"] for body in room.sends("e")] == ["text"] and room.sends("a") == []
    room.answers["e"] = error(131048)
    room.send(message("m2"))
    assert [body["type"] for body in room.sends("a")] == ["template"], "a was never written to"
    room.send(message("m3", text="qualquer coisa"))
    assert room.result("m3") == Refused("no_template", rejected=False)


def test_a_closed_window_is_that_of_one_sender() -> None:
    room = Room("a", "e")
    room.writes_to("a")
    room.writes_to("e")
    room.turn(1.0)
    room.channel.learn(PERSON, Status.FAILED, False, 0.5, "131047", 0.0, "a")
    room.send(message(text="qualquer coisa"))
    assert [body["type"] for body in room.sends("e")] == ["text"]
    room.channel.learn(PERSON, Status.FAILED, False, 0.5, "131047", 0.0, "e")
    room.send(message("m2", text="qualquer coisa"))
    assert room.result("m2") == Refused("no_template", rejected=False)


def test_what_was_learned_before_there_were_several_still_holds() -> None:
    """Records as the version before wrote them: an array that ends earlier."""
    room = Room("a", "e")
    record = list(structs.astuple(Evidence(inbound_at=room.clock.seconds() - 3600, identity="wa")))
    room.store.values[f"zap:{ME}"] = msgspec.msgpack.encode(record[:11])
    room.send(message(text="qualquer coisa"))
    [body] = room.sends("a") + room.sends("e")
    assert body["type"] == "text", "the window is open"
    assert room.evidence.sender in ("a", "e"), "from now on it is one sender's person"


def test_whom_a_node_bound_the_next_process_knows() -> None:
    room = Room("a", "b", "d", "e")
    crowd = people(12)
    room.send(*(message(f"m{index}", person) for index, person in enumerate(crowd)))
    room.turn(1.0)
    before = {name: {body["to"] for body in room.sends(name)} for name in "abde"}
    assert sum(map(len, before.values())) == 12 and sum(bool(texts) for texts in before.values()) >= 3
    after = Room("e", "d", "b", "a", store=room.store, own={"e": {"throughput": "9/s"}})
    after.send(*(message(f"m{index}", person) for index, person in enumerate(crowd)))
    after.turn(3.0)
    assert {name: {body["to"] for body in after.sends(name)} for name in "abde"} == before


# ----------------------------------------------------------------------------------------------- the channel as a whole


def test_a_sender_on_trial_gets_one_message_and_the_others_go_on() -> None:
    room = Room("a", "e")
    crowd = people(6)
    for person in crowd:
        room.ours("a", person)
    room.answers["a"] = error(131048)
    room.send(message("m0", crowd[0]))
    assert isinstance(room.result("m0"), Accepted) and room.up == {"e"}
    room.answers.clear()
    room.turn(301.0)
    assert room.channel.senders["a"].condition.word == "on trial"
    room.send(*(message(f"m{index}", person) for index, person in enumerate(crowd[1:], 1)))
    room.turn(1.0)
    assert len(room.sends("a")) == 2, "the one that closed it, and the trial"
    assert {type(room.result(f"m{index}")) for index in range(1, 6)} == {Accepted}


def test_a_sender_that_has_too_much_waiting_sends_it_back_to_the_queue() -> None:
    room = Room("a", "e", throughput="1/s")
    crowd = people(120)
    for person in crowd:
        room.ours("a", person)
    room.send(*(message(f"m{index}", person) for index, person in enumerate(crowd)))
    back = [result for result in room.delivery.results.values() if isinstance(result, TryLater)]
    assert len(back) >= 50 and {one.reason for one in back} == {"busy"} and not any(one.counted for one in back)
    assert room.sends("e") == [], "they wait for their own sender"


def test_without_any_sender_the_channel_is_down_and_says_why() -> None:
    room = Room("a", "e")
    room.answers |= {"a": error(131048), "e": error(131048)}
    room.send(message())
    assert room.result() == ChannelDown("blocked", "131048")
    assert not room.channel.up and room.channel.quarantined and room.channel.capacity() == 0
    room.send(message("m2"))
    assert room.result("m2") == ChannelDown("blocked")


def test_at_the_end_what_is_not_written_goes_back_and_what_is_written_is_waited_for() -> None:
    room = Room("a", "e", throughput="1/s")
    room.http.answers = {key: None if "messages" in key else value for key, value in room.http.answers.items()}
    crowd = people(8)
    room.send(*(message(f"m{index}", person) for index, person in enumerate(crowd)))
    written = len(room.http.waiting)
    assert 0 < written < 8
    stopped = Deferred.fromCoroutine(room.channel.stop())
    room.turn()
    assert not stopped.called
    for path, _ in list(room.http.waiting):
        room.http.answer_next(path, json_answer(200, {"messages": [{"id": next(room.ids)}]}))
    room.turn()
    assert stopped.called
    found = list(room.delivery.results.values())
    assert sum(isinstance(one, Accepted) for one in found) == written
    assert sum(isinstance(one, Unwritten) for one in found) == 8 - written


# ---------------------------------------------------------------------------------------------- what a day has used up


def used(first_day: int, count: int) -> bytes:
    today = date.fromtimestamp(clock().seconds()).toordinal()
    return packed_tally(Tally(today - first_day, today, count))


def test_what_the_only_sender_used_is_the_first_ones_when_others_join_it() -> None:
    store = FakeStore()
    store.values["zap:#sends"] = used(30, 7)
    room = Room("a", "e", store=store, limits={"day": 10, "warm_up": [2, 4]})
    assert [one["left_today"] for one in room.channel.sender_status()] == [3, 2]
    room.ours("a")
    room.send(message())
    again = Room("a", "e", store=store, limits={"day": 10, "warm_up": [2, 4]})
    assert [one["left_today"] for one in again.channel.sender_status()] == [2, 2]


def test_one_sender_in_a_list_reads_and_writes_what_one_without_a_list_did() -> None:
    store = FakeStore()
    store.values["zap:#sends"] = used(30, 7)
    room = Room("a", store=store, limits={"day": 10})
    room.send(message())
    assert room.channel.sender_status()[0]["left_today"] == 2
    assert [key for key, _ in store.writes if "#" in key] == ["zap:#sends"]
    assert room.result() == Accepted("wamid.0"), "and its traces name no sender"


def test_what_a_sender_used_on_another_node_is_used() -> None:
    store = FakeStore()
    one, other = (Room("a", store=store, limits={"day": 5}) for _ in range(2))
    for number, room in enumerate((one, other, one, other, one)):
        room.send(message(f"m{number}"))
        assert isinstance(room.result(f"m{number}"), Accepted)
    one.send(message("m5"))
    assert one.result("m5") == Refused("daily_cap", rejected=False)
    assert unpacked_tally(store.values["zap:#sends"]).used == 5


def test_a_sender_sends_no_faster_than_its_nodes_share_of_its_rate() -> None:
    room = Room("a", throughput="20/s")
    [rate] = room.channel.rates()
    assert (rate.name, rate.up, rate.per_s) == ("zap/a", True, 20.0)
    rate.take(10.0)
    room.send(*(message(f"m{n}", person) for n, person in enumerate(people(30))))
    room.turn(2.0)
    assert 16 <= len(room.sends("a")) <= 21
    rate.take(20.0)
    before = len(room.sends("a"))
    room.turn(0.4)
    assert 7 <= len(room.sends("a")) - before <= 9


def test_what_a_sender_without_a_share_has_not_written_goes_back_for_another_node() -> None:
    room = Room("a", throughput="1/s")
    [rate] = room.channel.rates()
    room.send(*(message(f"m{n}", person) for n, person in enumerate(people(3))))
    assert (len(room.sends("a")), room.channel.capacity() > 0) == (1, True)
    rate.take(0.0)
    room.turn()
    assert {one: type(result) for one, result in room.delivery.results.items()} == {
        "m0": Accepted, "m1": Unwritten, "m2": Unwritten,
    }  # fmt: skip
    assert room.channel.capacity() == 0
    assert room.channel.up, "nothing is wrong with it: nobody need take another way"
    room.send(message("m3"))
    assert isinstance(room.result("m3"), TryLater), "for whom room was kept before"
    told = room.delivery.changes
    rate.take(1.0)
    room.turn()
    assert room.delivery.changes > told, "there is room again"
    room.send(message("m4"))
    room.turn(1.1)
    assert isinstance(room.result("m4"), Accepted)


def test_a_sender_has_its_share_until_the_message_of_its_trial_is_written() -> None:
    room = Room("a")
    shared: Callable[[], bool] = lambda: room.channel.rates()[0].up  # noqa: E731
    room.answers["a"] = error(131048)
    room.send(message("m0"))
    assert not shared(), "it rests"
    room.answers.clear()
    room.turn(301.0)
    assert shared()
    room.channel.senders["a"].allowance.close(same_person(PERSON), 5.0)
    room.send(message("m1"))
    assert (len(room.sends("a")), room.up, shared()) == (1, set(), True)
    room.turn(5.1)
    assert (len(room.sends("a")), room.up, shared()) == (2, set(), False), "others may use it while it waits for word"


def test_the_others_have_shares_of_their_own() -> None:
    room = Room("a", "e", throughput="10/s")
    shares = {rate.name: rate for rate in room.channel.rates()}
    assert shares.keys() == {"zap/a", "zap/e"}
    shares["zap/a"].take(0.0)
    room.ours("a")
    room.send(message("m0"), *(message(f"m{n}", person) for n, person in enumerate(people(5), 1)))
    room.turn(1.0)
    assert isinstance(room.result("m0"), TryLater), "its person's thread is at a sender that another node has"
    assert (len(room.sends("a")), len(room.sends("e"))) == (0, 5)


# ------------------------------------------------------------------------------------------------------------ webhooks


def test_a_webhook_has_to_bear_the_proof_of_the_sender_it_names() -> None:
    room = Room("a", "e")
    status = {"id": "wamid.0", "status": "delivered"}
    assert room.hook("a", secret="s4", statuses=[status]) == 401
    assert room.hook("a", secret="nobody's", statuses=[status]) == 401
    assert room.delivery.reports == []
    assert room.hook("a", statuses=[status]) == 200
    assert [one.remote_id for one in room.delivery.reports] == ["wamid.0"]


def test_a_webhook_that_names_two_senders_is_read_as_far_as_it_is_proven() -> None:
    room = Room("a", "b", "e")
    changes = [
        {"field": "messages", "value": {
            "metadata": {"phone_number_id": SENDERS[name]["instance"]},
            "statuses": [{"id": f"wamid.{name}", "status": "sent"}],
        }}
        for name in "abe"
    ]  # fmt: skip
    assert room.post({"entry": [{"id": "X", "changes": changes}]}, "s1") == 200
    assert sorted(one.remote_id for one in room.delivery.reports) == ["wamid.a", "wamid.b"]


def test_a_webhook_of_somebody_else_is_taken_and_says_nothing() -> None:
    room = Room("a", "b")
    assert room.hook("e", secret="s1", statuses=[{"id": "wamid.e", "status": "sent"}]) == 200
    assert room.delivery.reports == [] and room.up == {"a", "b"}
    assert room.hook("e", secret="s4", statuses=[]) == 401


def test_news_of_the_account_let_every_sender_be_asked() -> None:
    room = Room("a", "b")
    asked = len(room.http.requests)
    room.http.answers["/102?"] = json_answer(200, {"id": "102", "status": "BANNED"})
    event = {"entry": [{"id": "X", "changes": [{"field": "account_update", "value": {"event": "DISABLED_UPDATE"}}]}]}
    assert room.post(event, "s1") == 200
    assert len(room.http.requests) == asked + 2 and room.up == {"a"}


def test_a_template_that_is_approved_again_is_so_at_once() -> None:
    room = Room("a")
    room.answers["a"] = error(132015)
    room.send(message())
    room.answers.clear()
    value = {"event": "APPROVED", "message_template_name": "fatura", "message_template_language": "pt_BR"}
    event = {"entry": [{"id": "X", "changes": [{"field": "message_template_status_update", "value": value}]}]}
    assert room.post(event, "s1") == 200
    room.send(message("m2"))
    assert isinstance(room.result("m2"), Accepted)


def test_statuses_are_answers_to_the_sender_that_is_named() -> None:
    room = Room("a", "e", health={"min_acks": 0.5, "window": "60s", "quarantine": "5m"})
    crowd = people(20)
    for person in crowd:
        room.ours("a", person)
    room.send(*(message(f"m{index}", person) for index, person in enumerate(crowd)))
    for index in range(20):
        room.hook("e", statuses=[{"id": f"wamid.{index}", "status": "sent"}])
    room.turn(30.0)
    room.turn(60.0)
    assert room.up == {"e"}, "others' statuses do not speak for it"


def test_statuses_that_name_no_sender_are_those_of_whoever_sent() -> None:
    room = Room("a", "b", health={"min_acks": 0.5, "window": "60s", "quarantine": "5m"})
    room.answers["a"] = Unanswered("timeout")  # such sends are made good by statuses that nobody else knows
    for index, person in enumerate(people(40)):
        room.ours("ab"[index % 2], person)
    room.send(*(message(f"m{index}", person) for index, person in enumerate(people(40))))
    room.turn(1.0)
    theirs = {f"wamid.{index}" for index in range(40)} & {
        result.remote_id for message_id, result in room.delivery.results.items()
        if isinstance(result, Accepted) and result.sender == "b" and message_id
    }  # fmt: skip
    assert len(theirs) == 20
    for remote_id in theirs:
        status = {"id": remote_id, "status": "sent"}
        assert (
            room.post({"entry": [{"changes": [{"field": "messages", "value": {"statuses": [status]}}]}]}, "s1") == 200
        )
    room.turn(30.0)
    assert room.up == {"b"}


def asked_over_the_web(room: Room, check: Callable[[HttpRequest], HttpOutcome], **lookup: Any) -> None:
    """The channel `web` with the senders a and e, whose service can be asked who has an account."""
    room.http.answers = {
        "/whatsappNumbers/": check,
        "/connectionState/": json_answer(200, {"instance": {"state": "open"}}),
        "/sendText/": json_answer(201, {"key": {"id": "3EB0"}, "status": "PENDING"}),
    }
    room.channel = room.open("web", "a", "e", provider="evolution", templates=[], lookup=lookup)


def test_each_sender_asks_within_its_own_budget_and_day() -> None:
    room = Room("a", "e")

    def check(request: HttpRequest) -> HttpOutcome:
        numbers = json.loads(request.body)["numbers"]
        return json_answer(200, [{"jid": f"{one}@s.whatsapp.net", "exists": True, "number": one} for one in numbers])

    asked_over_the_web(room, check, budget="5/m", day=8)
    for minute in range(3):
        crowd = people(60)[20 * minute : 20 * minute + 20]
        room.send(*(message(f"{minute}-{index}", person) for index, person in enumerate(crowd)))
        room.turn(61.0)
    asked = [
        (request.url[-3:], len(json.loads(request.body)["numbers"])) for request in room.http.to("/whatsappNumbers/")
    ]
    assert {one: sum(count for url, count in asked if url == one) for one in ("101", "105")} == {"101": 8, "105": 8}
    assert sum(isinstance(one, Accepted) for one in room.delivery.results.values()) == 16


def test_a_question_without_an_answer_is_asked_of_another_sender() -> None:
    room = Room("a", "e")
    answers: dict[str, HttpOutcome] = {"a": HttpResponse(500)}

    def check(request: HttpRequest) -> HttpOutcome:
        name = "a" if request.url.endswith("/101") else "e"
        found = [{"jid": f"{PERSON}@s.whatsapp.net", "exists": True, "number": PERSON}]
        return answers.get(name, json_answer(200, found))

    asked_over_the_web(room, check, budget="600/m", when_unknown="skip")
    room.store.values[f"web:{ME}"] = pack(Evidence(sender="a"))
    asked = len(room.http.to("/connectionState/"))
    room.send(message())
    assert room.result() == Accepted("3EB0", sender="e")
    assert len(room.http.to("/connectionState/")) == asked + 1, "and the state of the first is looked at"
    answers["e"] = HttpResponse(500)
    room.store.values[f"web:{same_person(people(2)[1])}"] = pack(Evidence(sender="a"))
    room.send(message("m2", people(2)[1]))
    assert room.result("m2") == Refused("unknown", rejected=False)


def test_a_dry_run_chooses_senders_and_sends_nothing() -> None:
    room = Room("a", "e")
    before = len(room.http.requests)
    room.channel = WhatsAppChannel(
        rehearsing(room.channel.settings), provider_of=lambda own: pretending(provider_of(own), False),
        http=DryHttp(None), evidence=DryEvidence(room.store), results=room.delivery, mark=lambda _: None,
        decode=lambda one: one.user_data.decode(), clock=room.clock, spawn=room.spawned,
    )  # fmt: skip
    Deferred.fromCoroutine(room.channel.start())
    room.writes_to("e")
    room.send(message())
    assert room.result() == Accepted("dry-m1", note=DRY_RUN, sender="e")
    assert len(room.http.requests) == before
