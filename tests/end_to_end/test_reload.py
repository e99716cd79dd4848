"""A running gateway that reads its file again, and one that is started with what another tells of itself."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.store.embedded import EmbeddedServer
from tests.end_to_end.biller import Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import PASSWORD, Stage

ANA, BIA = "5511988880001", "5511977770002"  # the first has an account
LONG = "Prezada Ana, a fatura de novembro, no valor de R$ 123,45, vence amanhã: não deixe de pagá-la. " * 3
TRACE: tuple[dict[str, Any], ...] = (  # what a billing system once submitted
    {"to": ANA, "text": "Olá Ana, sua fatura vence amanhã. Acesse {link} @ pombo"},
    {"to": BIA, "text": "Olá Bia, ação, coração e pão: R$ 1.234,56 [€]"},
    {"to": "(11) 97777-0002", "text": "Parabéns 🎉🕊"},
    {"to": ANA, "short_message": b"\xe7\xe3o", "data_coding": 3},
    {"to": BIA, "short_message": b"\x00\x01\xffbinary", "data_coding": 4},
    {"to": BIA, "text": "Seu código é 1234", "registered_delivery": 2},
    {"to": BIA, "text": "de outra origem", "source_addr": "POMBO"},
    {"to": BIA, "text": "de uma origem que não é nossa", "source_addr": "99999"},
    {"to": "12", "text": "para ninguém"},
    {"to": BIA, "text": "repetida"},
    {"to": BIA, "text": "repetida"},
)


@in_reactor
async def test_a_reload_ends_the_binds_of_what_changed_and_no_others(stage: Stage) -> None:
    accounts = stage.settings["smpp_server"]["accounts"]
    accounts += [{"system_id": name, "password": PASSWORD} for name in ("crm", "shop")]
    await stage.start()
    binds = {name: await stage.bind(system_id=name) for name in ("billing", "crm", "shop")}
    [operator] = stage.operator.sessions
    accounts[0] |= {"throughput": "100/s", "default_source": "POMBO", "sources": ["28940", "POMBO"]}
    accounts[1]["password"] = "an0ther"
    del accounts[2]
    stage.settings["smsc_client"][0] |= {"price": "0.10", "throughput": "50/s"}
    stage.settings["bridge"][0]["price"] = "0.01"
    stage.settings["routes"] = [{"name": "sms", "channels": ["operator"]}]
    stage.gateway.configure(stage.settings)
    code, told = await stage.ask("GET", "/admin/diff")
    ends = {(one["place"], one["effect"]) for one in told["changes"] if "end" in one["effect"]}
    assert (code, ends) == (200, {(f"smpp_server.accounts {name}", "its binds end") for name in ("crm", "shop")})
    changed = {"changed": ["smpp_server", "operator", "zap", "routes"]}
    assert await stage.ask("POST", "/admin/reload") == (200, changed)
    await stage.until(lambda: binds["crm"].closed and binds["shop"].closed, "the binds of the two end")
    assert not binds["billing"].closed and stage.operator.sessions == [operator]
    assert await stage.ask("GET", "/admin/diff") == (200, {"changes": []})
    answer = await binds["billing"].submit(BIA, "Sua fatura vence amanha", source_addr="POMBO")
    await stage.until(lambda: binds["billing"].receipts, "the receipt, over the same binds on both sides")
    assert binds["billing"].receipts[0].channel == "operator"
    assert (await stage.message(answer.message_id))["price"] == "0.10"

    stage.gateway.config_path.write_text(stage.gateway.config_path.read_text().replace("routes:", "roots:"))
    code, body = await stage.ask("POST", "/admin/reload")
    assert code == 422 and "did you mean routes?" in "".join(body["errors"])
    assert (await binds["billing"].submit(BIA, "Sua fatura vence hoje")).status == 0
    await stage.until(lambda: len(binds["billing"].receipts) == 2, "it goes on as before")


def holds_a_hangup(pid: int) -> bool:
    """Does SIGHUP not end this process? Linux."""
    said = Path(f"/proc/{pid}/status").read_text()
    return any(int(octets, 16) >> (signal.SIGHUP - 1) & 1 for octets in re.findall(r"Sig(?:Blk|Cgt):\s+(\w+)", said))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells which signals a process holds")
@pytest.mark.parametrize("workers", [1, 2])
@in_reactor
async def test_a_reload_that_comes_while_the_gateway_starts_is_done(stage: Stage, workers: int) -> None:
    server = EmbeddedServer(stage.directory / "elsewhere", "everysec")
    server.lock()
    stage.settings["store"]["url"] = f"unix://{server.socket}"  # it is away
    stage.gateway.workers = workers
    stage.gateway.configure(stage.settings)
    stage.gateway.start()
    accounts = stage.settings["smpp_server"]["accounts"]
    for name in ("crm", "shop"):
        await stage.until(lambda: holds_a_hangup(stage.gateway.pid), "it has begun to read its file")
        accounts.append({"system_id": name, "password": PASSWORD})
        stage.gateway.configure(stage.settings)
        os.kill(stage.gateway.pid, signal.SIGHUP)
        await stage.until(is_there(stage), "it listens")
    server.ensure()
    try:
        await stage.until(stage._ready, "it is ready")
        for name in ("billing", "crm", "shop"):
            await stage.bind(system_id=name)
        assert await stage.stop() == 0
    finally:
        server.shut_down()


def is_there(stage: Stage) -> Callable[[], Any]:
    async def answers() -> bool:
        assert stage.gateway.alive, stage.gateway.log()[-2000:]
        return (await stage.ask("GET", "/healthz"))[0] == 200

    return answers


@in_reactor
async def test_what_is_meant_for_a_whatsapp_channel_that_starts_anew_waits_for_it(stage: Stage) -> None:
    people = [f"55119888{number:05d}" for number in range(12)]
    for person in people:
        stage.provider.people.add(person)
    slow = msgspec.structs.replace(stage.provider.settings, answer_after_s=0.5)
    stage.provider.settings = slow  # so the channel is not done with what it has written
    await stage.start()
    biller = await stage.bind()
    for person in people[:6]:
        await biller.submit(person, "antes")
    await stage.until(lambda: stage.provider.sends, "the first of them is written")
    stage.settings["bridge"][0]["price"] = "0.01"
    stage.gateway.configure(stage.settings)
    assert (await stage.ask("POST", "/admin/reload"))[0] == 200
    for person in people[6:]:
        await biller.submit(person, "durante")
    await stage.until(lambda: len(biller.receipts) == len(people), "all have their receipts")
    assert {receipt.channel for receipt in biller.receipts} == {"zap"} and not stage.operator.submits


async def lived(stage: Stage, biller: Biller) -> dict[str, Any]:
    """What all three sides saw of the trace, without what is of one run alone."""
    operator, provider = len(stage.operator.submits), len(stage.provider.sends)
    answers = [await biller.submit(**one) for one in TRACE]
    answers += [await part for part in biller.submit_parts(BIA, LONG)]
    accepted = [answer.message_id for answer in answers if answer.status == 0]
    asked = {answer.message_id for answer, one in zip(answers, TRACE, strict=False)
             if answer.status == 0 and one.get("registered_delivery") == 2}  # fmt: skip
    wanted = len(set(accepted) - asked)
    await stage.until(lambda: len(biller.receipts) >= wanted, "every message has its receipt")
    place = {message_id: accepted.index(message_id) for message_id in accepted}
    return {
        "answers": [(answer.status, place.get(answer.message_id)) for answer in answers],
        "receipts": sorted((place[one.message_id], one.stat, one.err, one.channel, one.source, one.dest)
                           for one in biller.receipts),
        "sms": sorted((one.source, one.dest, one.data_coding, one.esm_class, one.registered_delivery,
                       one.text if one.esm_class & 0x40 else one.user_data)  # the reference of parts is a new one
                      for one in stage.operator.submits[operator:]),
        "whatsapp": sorted((one.person, one.form, one.text) for one in stage.provider.sends[provider:]),
        "prices": [(await stage.message(message_id))["price"] for message_id in accepted],
    }  # fmt: skip


@in_reactor
async def test_a_node_started_with_what_another_exported_does_the_same_to_a_recorded_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R17. The second node begins with an empty store, and the first had read its file again."""
    stage.provider.people.add(ANA)
    await stage.start()
    account = stage.settings["smpp_server"]["accounts"][0]
    account |= {"dedupe": "1m", "sources": ["28940", "POMBO"], "default_alphabet": "latin1"}
    stage.settings["smsc_client"][0] |= {"source": "28940", "transliterate": True, "long_messages": "sar"}
    stage.settings["smsc_client"][0]["price"] = "0.09"
    stage.settings["log"]["level"] = "debug"  # which waits for a start, and so is not told
    stage.gateway.configure(stage.settings)
    assert (await stage.ask("POST", "/admin/reload"))[0] == 200
    first = await lived(stage, await stage.bind())
    _, exported = await stage.ask("GET", "/admin/config")
    secrets = ("SMPP_SERVER_ACCOUNTS_BILLING_PASSWORD", "SMSC_CLIENT_OPERATOR_PASSWORD", "BRIDGE_ZAP_API_KEY",
               "HTTP_ADMIN_TOKEN")  # fmt: skip
    assert tuple(exported["secrets"]) == secrets
    values = (account["password"], stage.settings["smsc_client"][0]["password"],
              stage.settings["bridge"][0]["api_key"], stage.settings["http"]["admin_token"])  # fmt: skip
    assert not any(value in exported["yaml"] for value in values) and "level: info" in exported["yaml"]
    await stage.stop()

    for name, value in zip(secrets, values, strict=True):
        monkeypatch.setenv(name, value)
    stage.settings = exported["yaml"].replace(str(stage.gateway.store_directory), str(stage.directory / "empty"))
    stage.gateway.store_directory = stage.directory / "empty"
    await stage.start()
    second = await lived(stage, await stage.bind())
    assert second == first
    assert {stat for _, stat, *_ in first["receipts"]} == {"DELIVRD"} and first["whatsapp"] and len(first["sms"]) > 7
