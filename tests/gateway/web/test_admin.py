"""What the admin part shows of a node and its messages, and what it submits."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
import pytest_twisted
from pydantic import SecretStr
from twisted.internet.defer import ensureDeferred

from bridge.presence import Evidence as Known
from bridge.presence import pack
from config.schema import AccountSettings
from gateway.delivery import resend
from gateway.delivery.resend import ON_ITS_WAY_S, Resending
from gateway.messages.message import Priority
from gateway.messages.outcome import Inbound, Status
from gateway.messages.states import State
from gateway.store import keys
from gateway.store.unmatched import GATHERED_S, KEPT_S, MOST_GATHERED, MOST_SHAPES, Unmatched
from gateway.store.valkey import Store
from gateway.texts import text_of
from gateway.web.admin import LONGEST_TEXT, NodeAdmin
from gateway.web.pages import Refusal
from gateway.web.people import PeopleDesk
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, House
from tests.gateway.delivery.test_erasing import people_of
from tests.gateway.samples import NUMBER

T = TypeVar("T")
ORDER = {"account": "billing", "to": "(11) 98765-4321", "text": "Sua fatura"}


def admin_of(house: House) -> NodeAdmin:
    billing = AccountSettings(
        system_id="billing", password=SecretStr("secret"), sources=("28940", "POMBO"), default_source="28940"
    )
    anybody = AccountSettings(system_id="anybody", password=SecretStr("secret"))
    return NodeAdmin(
        node="gw1",
        store=house.store,
        intake=house.intake,
        operations=house.operations,
        overview=house.clockwork.overview,
        channels=house.delivery.channels,
        accounts=lambda: {"billing": billing, "anybody": anybody},
        binds=lambda: {"billing": [{"type": "transceiver", "peer": "127.0.0.1", "since": "2026-09-21T12:00:00Z"}]},
        country=lambda: "BR",
        default_validity=lambda: 86400.0,
        retention_s=lambda: 172800.0,
        reload=lambda: ([], []),
        config=lambda: ("", []),
        diff=lambda: ([], []),
        resending=Resending(house.store, house.desk, house.tick, lambda: 172800.0),
        clock=house.tick,
        people=PeopleDesk(people_of(house), house.normalize, text_of),
        shapes=Unmatched(house.store, house.clock.callLater),
    )


async def asked(house: House, work: Coroutine[Any, Any, T]) -> T:
    answer = ensureDeferred(work)
    await house.settle()
    return await answer


@pytest_twisted.ensureDeferred
async def test_a_message_is_shown_with_all_its_steps_and_never_its_text(store: Store) -> None:
    house = await House(store).start()
    house.esmes.bind()
    message_id = await house.submit_one(user_data=b"a very secret text")
    house.zap.accept("zap-1")
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    shown = await asked(house, admin_of(house).message(message_id))
    assert shown is not None
    events = shown.pop("events")
    assert shown == {
        "id": message_id, "account": "billing", "from": "28940", "to": "+55 11 98765-4321", "state": "delivered",
        "channel": "zap", "route": "default", "segments": 1, "price": "0.03",
    }  # fmt: skip
    assert [event["event"] for event in events] == [
        "accepted", "decided", "sent", "delivered", "receipt_queued", "receipt_sent", "receipt_answered",
    ]  # fmt: skip
    assert all(event["at"].endswith("Z") and "T" in event["at"] for event in events)
    assert "secret" not in str(events)


@pytest_twisted.ensureDeferred
async def test_parts_are_shown_and_the_joined_text_is_not(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    admin = admin_of(house)
    shown = await asked(house, admin.message(ids[0]))
    assert shown is not None
    assert [event["event"] for event in shown["events"]] == ["accepted", "joined", "decided"]
    assert await asked(house, admin.message((await house.read(ids[0])).joined_in)) is None
    assert await asked(house, admin.message("unknown")) is None


@pytest_twisted.ensureDeferred
async def test_a_part_is_where_its_text_is_and_has_each_step_once(store: Store) -> None:
    house = await House(store).start()
    (first, _) = await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.accept("zap-1")
    await house.settle()
    shown = await asked(house, admin_of(house).message(first))
    assert shown is not None
    assert (shown["state"], shown["channel"], shown["events"][-1]["event"]) == ("enroute", "zap", "sent")
    await house.passes(PATIENCE_S)
    house.operator.accept("op-1")
    house.operator.accept("op-2")
    await house.settle()
    shown = await asked(house, admin_of(house).message(first))
    assert shown is not None
    assert (shown["state"], shown["channel"]) == ("enroute", "operator")
    assert [event["event"] for event in shown["events"]] == [
        "accepted", "joined", "decided", "sent", "fallback", "decided", "sent",
    ]  # fmt: skip


@pytest.mark.parametrize("written", [NUMBER, "551187654321", "011 8765-4321", "+55 (11) 98765-4321"])
@pytest_twisted.ensureDeferred
async def test_messages_of_a_number_are_found_under_every_form_newest_first(store: Store, written: str) -> None:
    house = await House(store).start()
    ids = []
    for _ in range(3):
        ids.append(await house.submit_one())
        house.clock.advance(1)
    await house.submit_one(msisdn="5521912345678")
    listed = await asked(house, admin_of(house).messages(written, 2))
    assert [message["id"] for message in listed] == ids[:0:-1]


@pytest_twisted.ensureDeferred
async def test_as_many_messages_of_a_number_are_listed_as_asked_for(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(*(house.message() for _ in range(120)))
    listed = await asked(house, admin_of(house).messages(NUMBER, 100))
    assert [message["id"] for message in listed] == ids[:19:-1]


@pytest_twisted.ensureDeferred
async def test_a_number_nobody_wrote_to_has_no_messages(store: Store) -> None:
    house = await House(store).start()
    assert await asked(house, admin_of(house).messages("nonsense", 5)) == []


@pytest_twisted.ensureDeferred
async def test_a_submitted_message_goes_the_same_way_as_an_esmes(store: Store) -> None:
    house = await House(store).start()
    order = {**ORDER, "text": "Olá ✓", "from": "POMBO", "priority": "high", "validity": "30m"}
    message_id = await asked(house, admin_of(house).submit(order))
    (taken,) = house.zap.taken
    assert (taken.id, text_of(taken), taken.msisdn) == (message_id, "Olá ✓", NUMBER)
    assert (taken.source, taken.source_ton, taken.registered_delivery) == ("POMBO", 5, 0)
    assert taken.priority == Priority.HIGH
    assert taken.expires_at - taken.accepted_at == pytest.approx(1800, abs=60)


@pytest.mark.parametrize("written", ["+55 (011)  98765 - 4321", "11 98765\u20134321"])
@pytest_twisted.ensureDeferred
async def test_a_number_that_no_address_can_carry_is_kept_as_digits(store: Store, written: str) -> None:
    """What the person writes back comes from it."""
    house = await House(store).start()
    await asked(house, admin_of(house).submit({**ORDER, "to": written}))
    assert [(taken.dest, taken.msisdn) for taken in house.zap.taken] == [(NUMBER, NUMBER)]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"account": "nobody"}, "account"),
        ({"to": "12"}, "to"),
        ({"to": 5}, "to"),
        ({"text": ""}, "text"),
        ({"text": "x" * (LONGEST_TEXT + 1)}, "text"),
        ({"from": "OTHER"}, "from"),
        ({"from": ["28940"]}, "from"),
        ({"account": "anybody", "from": "9" * 21}, "from"),
        ({"account": "anybody", "from": "28\n940"}, "from"),
        ({"account": "anybody", "from": "28\u2013940"}, "from"),
        ({"priority": "urgent"}, "priority"),
        ({"priority": ["high"]}, "priority"),
        ({"validity": "soon"}, "validity"),
        ({"validity": "0s"}, "validity"),
        ({"color": "red"}, "color"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_wrong_order_is_refused_by_the_name_of_what_is_wrong(
    store: Store, order: dict[str, Any], why: str
) -> None:
    house = await House(store).start()
    with pytest.raises(Refusal, match=why) as refused:
        await asked(house, admin_of(house).submit({**ORDER, **order}))
    assert refused.value.status == 422
    assert house.zap.taken == []


@pytest_twisted.ensureDeferred
async def test_a_number_no_route_takes_and_a_store_that_is_away_are_told_apart(store: Store) -> None:
    house = await House(store).start()
    admin = admin_of(house)
    house.intake.use(())
    with pytest.raises(Refusal, match="no route takes") as refused:
        await asked(house, admin.submit(ORDER))
    assert refused.value.status == 422
    await store.stop()
    with pytest.raises(Refusal, match="store") as refused:
        await admin.submit(ORDER)
    assert refused.value.status == 503
    for look in (admin.message("m1"), admin.messages(NUMBER, 1), admin.export({"number": NUMBER})):
        with pytest.raises(Refusal, match="the store is away") as refused:
            await look
        assert refused.value.status == 503


@pytest_twisted.ensureDeferred
async def test_a_message_with_a_short_id_is_shown_by_whatever_its_client_calls_it(store: Store) -> None:
    house = await House(store).start()
    house.intake.numbering.use({"billing": "hex"})
    await house.settle()
    message_id = await house.submit_one()
    admin = admin_of(house)
    for written in (message_id, message_id.lower(), message_id.lstrip("0"), str(int(message_id, 16))):
        shown = await asked(house, admin.message(written))
        assert shown is not None and shown["id"] == message_id
    assert await asked(house, admin.message("123")) is None


@pytest_twisted.ensureDeferred
async def test_the_status_tells_binds_queues_and_what_waits(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 1
    house.operator.up = False
    await house.submit(*(house.message() for _ in range(3)))
    await house.passes(10)
    status = admin_of(house).status()
    assert status["node"] == "gw1"
    account, _ = status["accounts"]
    assert (account["system_id"], account["receipts_pending"], len(account["binds"])) == ("billing", 0, 1)
    zap, operator = status["channels"]
    told = {"name", "kind", "up", "binds", "queue", "oldest_seconds", "inflight", "quarantined"}
    assert (set(zap), set(operator)) == (told | {"senders"}, told)
    assert (zap["name"], zap["kind"], zap["up"], zap["queue"], zap["inflight"]) == ("zap", "whatsapp", True, 2, 1)
    assert (operator["kind"], operator["up"], operator["queue"], operator["oldest_seconds"]) == ("smsc", False, 0, 0)


@pytest_twisted.ensureDeferred
async def test_shapes_are_counted_in_the_store_and_shown_with_a_draft(store: Store) -> None:
    house = await House(store).start()
    admin = admin_of(house)
    shapes = Unmatched(store, house.clock.callLater)
    for _ in range(3):
        shapes.note("zap", "Ola {nome}, sua fatura vence {data}.")
    shapes.note("zap", "Seu pedido saiu.")
    await house.passes(GATHERED_S)
    shapes.note("zap", "Seu pedido saiu.")
    await house.passes(GATHERED_S)
    first, second = await asked(house, admin.unmatched(10))
    assert (first["channel"], first["count"], second["count"]) == ("zap", 3, 2)
    assert first["template"]["body"] == "Ola {{1}}, sua fatura vence {{2}}." and first["doubts"] == []
    assert first["rule"].startswith("- name: fatura_vence\n")
    assert await asked(house, admin.unmatched(1)) == [first]
    ttl = await store.command("TTL", keys.shapes("zap"))
    assert KEPT_S - 60 < ttl <= KEPT_S


@pytest_twisted.ensureDeferred
async def test_only_so_many_shapes_are_kept_and_the_commonest_stay(store: Store) -> None:
    house = await House(store).start()
    shapes = Unmatched(store, house.clock.callLater)
    for place in range(MOST_SHAPES + MOST_GATHERED):
        if place % MOST_GATHERED == 0:
            await house.passes(GATHERED_S)
            shapes.note("zap", "common")
        shapes.note("zap", f"rare {place}")
    for _ in range(50):
        shapes.note("zap", "one more than may gather")
    await house.passes(GATHERED_S)
    assert await store.command("ZCARD", keys.shapes("zap")) == MOST_SHAPES
    assert (await shapes.commonest(["zap"], 1)) == [("zap", "common", 3)]


# -- receipts once more


@pytest_twisted.ensureDeferred
async def test_receipts_that_were_had_are_sent_again_and_no_others(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    bind = house.esmes.bind()

    async def delivered(**fields: Any) -> str:
        message_id = await house.submit_one(**fields)
        house.operator.accept(message_id)
        house.operator.report(message_id, Status.DELIVERED)
        await house.settle()
        return message_id

    early = await delivered()
    house.clock.advance(60)
    since = house.tick() - 1
    had, unasked, other = await delivered(), await delivered(registered_delivery=0), await delivered(account="shop")
    unfinished = await house.submit_one()
    assert bind.ids == [early, had]
    admin = admin_of(house)
    assert await asked(house, admin.resend({"account": "billing", "since": since})) == 1
    await house.settle()
    assert bind.ids == [early, had, had] and {unasked, unfinished, other}.isdisjoint(bind.ids)
    assert await asked(house, admin.resend({"account": "billing", "since": 0})) == 2
    await house.settle()
    assert bind.ids[3:] == [early, had]
    assert await store.command("XLEN", keys.receipts("billing")) == 0


@pytest_twisted.ensureDeferred
async def test_a_receipt_that_is_still_to_come_is_not_doubled(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    await house.submit_one()
    house.operator.accept("op-1")
    house.operator.report("op-1", Status.DELIVERED)
    await house.settle()  # nobody is bound
    assert await asked(house, admin_of(house).resend({"account": "billing", "since": 0})) == 0
    assert await store.command("XLEN", keys.receipts("billing")) == 1


@pytest_twisted.ensureDeferred
async def test_a_receipt_that_was_given_up_is_sent_after_all(store: Store) -> None:
    """The account was away for longer than receipts_kept, say."""
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.accept(message_id)
    house.operator.report(message_id, Status.DELIVERED)
    await house.settle()
    await store.command("DEL", keys.receipts("billing"))
    admin, order = admin_of(house), {"account": "billing", "since": 0}
    assert await asked(house, admin.resend(order)) == 0  # it may be on its way from the ledger to its stream
    house.clock.advance(ON_ITS_WAY_S + 1)
    assert await asked(house, admin.resend(order)) == 1
    assert await asked(house, admin.resend(order)) == 0  # it waits for a bind now


@pytest_twisted.ensureDeferred
async def test_receipts_are_queued_for_an_account_by_one_at_a_time_and_each_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "AT_ONCE", 2)  # pages of two, into which new messages come
    house = await House(store, SMS_ONLY).start()
    bind = house.esmes.bind()
    ids = [await house.submit_one(msisdn=f"55119{n:08}") for n in range(7)]
    house.operator.accept(*ids)
    for message_id in ids:
        house.operator.report(message_id, Status.DELIVERED)
    await house.settle()
    admin, order = admin_of(house), {"account": "billing", "since": 0}
    first = ensureDeferred(admin.resend(order))
    with pytest.raises(Refusal, match="already"):
        await asked(house, admin.resend(order))
    await house.submit_one(msisdn="5510000000000")
    await house.settle()
    assert await first == 7
    await house.settle()
    assert sorted(bind.ids[7:]) == sorted(ids)


@pytest.mark.parametrize(
    ("order", "word"),
    [({"account": "nobody", "since": 0}, "account"), ({"account": "billing"}, "since"),
     ({"account": "billing", "since": "yesterday"}, "since"), ({"account": "billing", "since": True}, "since")],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_an_order_for_receipts_has_an_account_and_a_moment(store: Store, order: Any, word: str) -> None:
    house = await House(store).start()
    with pytest.raises(Refusal, match=f"^{word}: "):
        await asked(house, admin_of(house).resend(order))


@pytest_twisted.ensureDeferred
async def test_what_is_known_of_a_person_is_told_with_the_texts_that_are_still_held(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    admin = admin_of(house)
    ended = await house.submit_one(user_data=b"over")
    house.operator.accept("1")
    house.operator.report("1", Status.DELIVERED, State.DELIVERED, dest=NUMBER)
    await house.settle()
    going = await house.submit_one(user_data=b"ol\x7f", template=("fatura", "Ana"))
    await house.inbound("operator", Inbound("operator", NUMBER, "28940", "in-1", text="pago"))
    evidence = Known(identity="551187654321", delivered_at=1_790_000_000.0)
    await store.command("SET", keys.person(f"zap:{NUMBER}"), pack(evidence))
    await store.command("SET", keys.person("zap:@77@lid"), NUMBER)
    told = await asked(house, admin.export({"number": "(11) 8765-4321"}))
    assert (told["number"], told["forms"]) == (NUMBER, [NUMBER, "551187654321"])
    assert {one["id"]: one.get("text") for one in told["messages"]} == {ended: None, going: "olà"}
    assert [one.get("template") for one in told["messages"]] == [None, ["fatura", "Ana"]]
    assert [event["event"] for event in told["messages"][0]["events"]][:2] == ["accepted", "sent"]
    assert [(one["account"], one["from"], one["to"]) for one in told["written_to_by"]] == [
        ("billing", "28940", "+55 11 98765-4321")
    ] * 2
    assert told["whatsapp"] == [
        {"channel": "zap", "identity": "551187654321", "delivered_at": "2026-09-21T14:13:20.000Z"}
    ]
    assert told["identities"] == [{"channel": "zap", "identity": "77@lid"}]
    assert [(one.get("receipt_of"), one.get("reply")) for one in told["waiting"]] == [(ended, None), (None, "pago")]
    assert {event["id"] for event in told["events"]} == {ended, going}
    assert all(str(event["at"]).endswith("Z") for event in told["events"])


@pytest_twisted.ensureDeferred
async def test_an_erasure_is_refused_while_messages_are_under_way_and_tells_what_went_after_that(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    admin = admin_of(house)
    await house.submit(house.message(), house.message())
    order = {"number": "011 8765-4321"}
    with pytest.raises(Refusal) as refused:
        await asked(house, admin.erase(order))
    assert refused.value.status == 409
    assert refused.value.why.startswith("nothing was erased: 2 messages to this number are under way, until 20")
    assert "with cancel" in refused.value.why
    house.operator.accept("1", "2")
    for one in ("1", "2"):
        house.operator.report(one, Status.DELIVERED, State.DELIVERED, dest=NUMBER)
    await house.settle()
    told = await asked(house, admin.erase(order))
    assert told.pop("events") > 6
    assert told == {"messages": 2, "evidence": 0, "identities": 0,
                    "waiting": {"billing": {"receipts": 2, "replies": 0}}}  # fmt: skip


@pytest.mark.parametrize(
    ("order", "why"),
    [({}, "number: "), ({"number": 5511987654321}, "number: "), ({"number": "12"}, "number: "),
     ({"number": NUMBER, "force": True}, "unknown keys"), ({"number": NUMBER, "cancel": "yes"}, "cancel: ")],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_an_order_about_a_person_names_a_number(store: Store, order: dict[str, Any], why: str) -> None:
    house = await House(store).start()
    with pytest.raises(Refusal, match=f"^{why}") as refused:
        await asked(house, admin_of(house).erase(order))
    assert refused.value.status == 422
    assert NUMBER not in refused.value.why
