"""What works in one process works in a node of several, and with what else there is: addresses of all kinds, reload,
commands, parts of a text over several binds, texts sent once, short ids, a store with a password."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet import endpoints
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread

from gateway.smpp import charset
from gateway.smpp.segments import split
from gateway.workers.beside import SHOW_S
from tests.end_to_end.biller import Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import OPERATOR_PASSWORD, PASSWORD, Stage
from tests.end_to_end.test_workers import binds, people, spread, two_workers
from tools.certificate import write_certificate
from tools.clock import pause
from tools.ports import free_port
from tools.smsc_simulator import SmscSettings, SmscSimulator
from tools.store_group import StoreGroup

twisted: Any = endpoints  # carries no types
SMS = [{"name": "sms", "channels": ["operator"]}]
LONG = "Sua fatura de novembro esta disponivel no portal do cliente. " * 5


async def bind_at(stage: Stage, door: str, system_id: str = "billing") -> Biller:
    biller = Biller(stage.reactor, system_id, PASSWORD)
    factory: Any = Factory.forProtocol(lambda: biller)
    await twisted.clientFromString(stage.reactor, door).connect(factory)
    stage.billers.append(biller)
    assert await biller.bound == 0
    return biller


@in_reactor
async def test_workers_listen_by_ipv6_and_tls_and_read_new_certificates(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["routes"] = SMS
    here, six, tls = Path(stage.directory), free_port(), free_port()
    key, certificate = here / "key.pem", here / "roots" / "certificate.pem"
    certificate.parent.mkdir()
    write_certificate(key, certificate)
    stage.settings["smpp_server"]["listen"] += [
        f"tcp6:{six}:interface=\\:\\:1", f"ssl:{tls}:interface=127.0.0.1:privateKey={key}:certKey={certificate}",
    ]  # fmt: skip
    await stage.start()
    secure = f"tls:127.0.0.1:{tls}:trustRoots={certificate.parent}"
    ledger, billers = Ledger(stage), []
    for door in (f"tcp:\\:\\:1:{six}", secure) * 3:
        billers.append(await bind_at(stage, door))
        ledger.watch(billers[-1])
    assert await spread(stage, 6)
    for biller in billers:
        ledger.submit(biller, people(5))
    await ledger.all_answered()
    await ledger.all_reported(10)
    write_certificate(key, certificate)
    changed = (await stage.ask("POST", "/admin/reload"))[1]["changed"]
    assert changed == ["certificates"]
    for _ in range(2):
        await bind_at(stage, secure)
    assert await stage.stop() == 0


@in_reactor
async def test_a_reload_adds_and_removes_accounts_routes_and_channels_at_every_worker(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["routes"] = SMS
    await stage.start()
    shop, billers = await binds(stage, 4, "shop"), await binds(stage, 2)
    accounts, operators = stage.settings["smpp_server"]["accounts"], stage.settings["smsc_client"]
    kept = accounts.pop(1)
    accounts.append({**kept, "system_id": "other"})
    port = free_port()
    second = SmscSimulator(SmscSettings(system_id="pombo", password=OPERATOR_PASSWORD), stage.reactor)
    await stage._listen("second", second, port)
    operators.append({**operators[0], "name": "second", "connect": f"tcp:127.0.0.1:{port}", "binds": 1})
    stage.settings["routes"] = [{"name": "two", "when": {"to": ["5511"]}, "channels": ["second"]}, *SMS]
    stage.gateway.configure(stage.settings)
    code, told = await stage.ask("POST", "/admin/reload")
    assert (code, sorted(told["changed"])) == (200, ["routes", "second", "smpp_server"])
    await stage.until(lambda: all(one.closed for one in shop), "the binds of the removed account end")
    assert not any(one.closed for one in billers)
    for _ in range(3):
        await stage.bind(system_id="shop", status=0x0F)
    other = await binds(stage, 4, "other")

    async def is_up() -> bool:
        return bool((await stage.channel("second"))["up"])

    await stage.until(is_up, "the new channel is up")
    ledger = Ledger(stage)
    for biller in (*billers, *other):
        ledger.watch(biller)
        ledger.submit(biller, [f"55119{number[-8:]}" for number in people(5)])
    await ledger.all_answered()
    await ledger.all_reported(10)
    channels = {one["channel"] for one in await stage.messages(ledger.accepted)}
    assert channels == {"second"}
    operators.pop()
    stage.settings["routes"] = SMS
    stage.gateway.configure(stage.settings)
    os.kill(stage.gateway.pid, signal.SIGHUP)

    async def is_gone() -> bool:
        return [one["name"] for one in (await stage.status())["channels"]] == ["operator", "zap"]

    await stage.until(is_gone, "the channel is gone at both")
    assert await stage.stop() == 0


@in_reactor
async def test_a_channel_whose_binds_all_went_to_one_worker_is_as_down_as_that_says(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["smsc_client"].append(
        {**stage.settings["smsc_client"][0], "name": "second", "connect": "tcp:127.0.0.1:1", "binds": 1}
    )
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator", "second"], "fallback_after": "10m"}]
    await stage.start(channels_up=False)

    async def bound() -> int:
        return int((await stage.channel("operator"))["binds"])

    async def two() -> bool:
        return await bound() == 2

    await stage.until(two, "both workers have a bind")
    await pause(stage.reactor, 2 * SHOW_S)  # they have told each other
    stage.settings["smsc_client"][0]["binds"] = 1
    stage.gateway.configure(stage.settings)
    assert (await stage.ask("POST", "/admin/reload"))[0] == 200

    async def one() -> bool:
        return await bound() == 1

    await stage.until(one, "one of them is left")
    await stage._ports.pop("operator").stopListening()
    for session in list(stage.operator.sessions):
        session.transport.abortConnection()

    async def down() -> bool:
        return not (await stage.channel("operator"))["up"]

    await stage.until(down, "the node says that the operator is down")
    assert await stage.stop() == 0


@in_reactor
async def test_parts_texts_sent_once_and_short_ids_over_the_binds_of_two_workers(stage: Stage) -> None:
    two_workers(stage)
    accounts = stage.settings["smpp_server"]["accounts"]
    accounts[1] |= {"throughput": "5000/s", "max_binds": 20, "dedupe": "5m", "quirks": ["decimal_ids"]}
    await stage.start()
    shop = await binds(stage, 6, "shop")
    assert await spread(stage, 6)
    ledger = Ledger(stage)
    for biller in shop:
        ledger.watch(biller)
    number = people(1)[0]
    answers = [await biller.submit(number, "Ola, uma vez so.") for biller in shop]
    assert {one.status for one in answers} == {0}
    assert len({one.message_id for one in answers}) == 1, "sent once, whichever worker it came to"
    ids = [(await biller.submit(one, "Ola.")).message_id for biller in shop for one in people(5)]
    assert len(set(ids)) == 30
    assert all(one.isdigit() for one in ids)
    first, second = people(2)
    stage.provider.people.add(first)
    stage.provider.people.add(second)
    for one in (first, second):
        data_coding, octets = charset.choose(LONG)
        parts = split(octets, data_coding, "udh8", 9)
        assert len(parts) > 1
        for place, part in enumerate(parts):
            answer = await shop[place % 6].submit(
                one, data_coding=data_coding, esm_class=part.esm_class, short_message=part.short_message, tlvs=part.tlvs
            )
            assert answer.status == 0
    await stage.until(lambda: sum(sent.person in (first, second) for sent in stage.provider.sends) == 2, "joined", 5)
    assert await stage.stop() == 0


@in_reactor
async def test_what_is_asked_over_http_is_answered_for_all_workers(stage: Stage) -> None:
    two_workers(stage)
    stage.settings["routes"] = SMS
    await stage.start()
    billers, shop = await binds(stage, 4), await binds(stage, 4, "shop")
    assert await spread(stage, 8)
    ledger = Ledger(stage)
    for biller in (*billers, *shop):
        ledger.watch(biller)
        ledger.submit(biller, people(2))
    await ledger.all_answered()
    await ledger.all_reported(10)
    message_id, number = next(iter(ledger.accepted.items()))
    _, found = await stage.ask("GET", "/admin/messages", params={"number": number})
    assert [one["id"] for one in found["messages"]] == [message_id]
    code, queued = await stage.ask("POST", "/admin/receipts/resend", json={"account": "billing", "since": 0})
    assert (code, queued["queued"]) == (200, 8)
    await stage.until(lambda: sum(len(one.receipts) for one in billers) == 16, "each receipt comes once more")
    to = people(1)[0]
    code, sent = await stage.ask("POST", "/admin/messages", json={"account": "shop", "to": to, "text": "Ola."})
    assert code in (200, 201, 202), sent
    for one in (number, to):
        stage.operator.mo(one, "28940", "Ja paguei")
    await stage.until(lambda: sum(len(one.texts) for one in (*billers, *shop)) == 2, "replies reach their accounts")
    assert (await stage.ask("GET", "/admin/diff"))[0] == 200
    assert (await stage.ask("GET", "/admin/config"))[0] == 200
    assert (await stage.ask("GET", "/admin/unmatched"))[0] == 200
    code, person = await stage.ask("POST", "/admin/people/export", json={"number": number})
    assert (code, len(person["messages"])) == (200, 1)
    code, erased = await stage.ask("POST", "/admin/people/erase", json={"number": number})
    assert code == 200, erased
    code, person = await stage.ask("POST", "/admin/people/export", json={"number": number})
    assert not person.get("messages")
    assert await stage.stop() == 0


@in_reactor
async def test_two_workers_on_a_group_with_a_password_and_a_database(stage: Stage) -> None:
    group = StoreGroup(stage.directory / "own-store", replicas=1, sentinels=1, password="st0re+pa/ss")
    await deferToThread(group.start)
    try:
        two_workers(stage)
        stage.settings["routes"] = SMS
        stage.settings["store"]["url"] = group.url.replace("st0re+pa/ss", quote("st0re+pa/ss", safe="")) + "/3"
        await stage.start()
        ledger = Ledger(stage)
        billers = await binds(stage, 4)
        for biller in billers:
            ledger.watch(biller)
            ledger.submit(biller, people(10))
        await ledger.all_answered()
        await ledger.all_reported(10)
        assert group.servers[0].ask("DBSIZE") == 0
        first = group.servers[0]
        await deferToThread(first.kill)
        await stage.until(lambda: group.master() not in (None, first), "another server is the master", 20)
        await stage.until(stage._ready, "the node is ready again", 20)
        for biller in billers:
            ledger.submit(biller, people(5))
        await ledger.all_answered()
        await ledger.all_reported(15)
        assert await stage.stop() == 0
    finally:
        await deferToThread(group.stop)


@in_reactor
async def test_a_worker_that_is_killed_between_the_parts_of_a_text_costs_no_part(stage: Stage) -> None:
    two_workers(stage)
    await stage.start()
    billers = await binds(stage, 6)
    assert await spread(stage, 6)
    data_coding, octets = charset.choose(LONG)
    parts = split(octets, data_coding, "udh8", 9)
    persons = people(12)
    stage.provider.people.add(persons[0])
    for person in persons[1::2]:
        stage.provider.people.add(person)
    accepted: set[str] = set()
    for place, part in enumerate(parts):
        for number, person in enumerate(persons):
            answer, fields = None, {"esm_class": part.esm_class, "short_message": part.short_message}
            while answer is None or answer.status is None:
                at = (number + place) % 6
                if answer is not None:  # its worker is dead, and the link about to be lost
                    await stage.until(partial(getattr, billers[at], "closed"), "the link is lost")
                if billers[at].closed:
                    billers[at] = await stage.bind()
                answer = await billers[at].submit(person, data_coding=data_coding, tlvs=part.tlvs, **fields)
            assert answer.status == 0
            accepted.add(answer.message_id)
        if not place:
            stage.gateway.kill_worker(stage.gateway.worker_pids()[-1])
    receipts = lambda: {one.message_id for biller in stage.billers for one in biller.receipts}  # noqa: E731
    await stage.until(lambda: accepted <= receipts(), "every part has its receipt", 25)
    texts = [sent.person for sent in stage.provider.sends if sent.message_id]
    assert sorted(texts) == sorted({persons[0], *persons[1::2]}), "each text once"
