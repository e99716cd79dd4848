"""What operators send and refuse, through a real node: who gets it, what it means, and what a reload changes."""

from __future__ import annotations

import itertools

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import OPERATOR_PASSWORD, PASSWORD, Stage
from tools.ports import free_port
from tools.scripts import OperatorScript
from tools.smsc_simulator import SmscSettings, SmscSimulator

serials = itertools.count(11973000000)


@in_reactor
async def test_a_table_says_who_hears_of_strangers_and_a_reload_who_hears_always(stage: Stage) -> None:
    accounts = stage.settings["smpp_server"]["accounts"]
    accounts.append({"system_id": "crm", "password": PASSWORD, "default_source": "28940", "sources": ["28940"]})
    stage.settings["replies"] = [{"to": "28940", "account": "crm"}]
    await stage.start()
    billing, crm = await stage.bind(), await stage.bind(system_id="crm")
    stranger, customer = (f"55{next(serials)}" for _ in range(2))
    assert (await billing.submit(customer, "Sua fatura vence amanha")).status == 0
    await stage.until(lambda: billing.receipts, "the customer has the text")
    stage.operator.mo(stranger, "28940", "Quanto devo?")
    stage.operator.mo(customer, "28940", "Ja paguei")
    await stage.until(lambda: crm.texts and billing.texts, "both have a text")
    assert [(one.source_addr, one.short_message) for one in crm.texts] == [(stranger, b"Quanto devo?")]
    assert [(one.source_addr, one.short_message) for one in billing.texts] == [(customer, b"Ja paguei")]
    stage.settings["replies"] = [{"to": "28940", "account": "crm", "always": True}]
    stage.gateway.configure(stage.settings)
    assert await stage.ask("POST", "/admin/reload") == (200, {"changed": ["replies"]})
    stage.operator.mo(customer, "28940", "Obrigado")
    await stage.until(lambda: len(crm.texts) == 2, "the other account has it now")
    assert crm.texts[1].short_message == b"Obrigado"
    assert len(billing.texts) == 1


@in_reactor
async def test_what_people_text_shows_an_account_of_another_alphabet_the_same_characters(stage: Stage) -> None:
    stage.settings["smpp_server"]["accounts"][0]["default_alphabet"] = "latin1"
    await stage.start()
    billing, customer = await stage.bind(), f"55{next(serials)}"
    assert (await billing.submit(customer, "Sua fatura vence amanha")).status == 0
    await stage.until(lambda: billing.receipts, "the customer has the text")
    stage.operator.mo(customer, "28940", "É à vista {sim}")
    await stage.until(lambda: billing.texts, "the account has a text")
    assert [(one.data_coding, one.short_message.decode("latin-1")) for one in billing.texts] == [(0, "É à vista {sim}")]


@in_reactor
async def test_a_refusal_is_read_as_the_channel_says_and_a_reload_changes_it_without_a_new_bind(stage: Stage) -> None:
    operator, port = stage.settings["smsc_client"][0], free_port()
    backup = SmscSimulator(SmscSettings(system_id="pombo", password=OPERATOR_PASSWORD), stage.reactor)
    await stage._listen("backup", backup, port)
    stage.settings["smsc_client"].append({**operator, "name": "backup", "connect": f"tcp:127.0.0.1:{port}"})
    stage.settings["routes"] = [{"name": "two", "channels": ["operator", "backup"], "fallback_after": "1m"}]
    operator["status"] = {"0x0B": "next_channel"}
    await stage.start()
    biller = await stage.bind()
    numbers = [f"55{next(serials)}" for _ in range(2)]
    for number in numbers:
        stage.operator.scripts.set(number, OperatorScript(status=0x0B))
    first = await biller.submit(numbers[0], "Sua fatura vence amanha")
    await stage.until(lambda: biller.receipts, "the first is reported")
    assert [(one.stat, one.channel) for one in biller.receipts] == [("DELIVRD", "backup")]
    assert biller.receipts[0].message_id == first.message_id
    name = 'pombo_fallback_total{from_channel="operator",reason="refused",to_channel="backup"}'
    assert (await stage.metrics())[name] == 1
    del operator["status"]
    stage.gateway.configure(stage.settings)
    binds = stage.operator.binds
    assert (await stage.ask("POST", "/admin/reload"))[1] == {"changed": ["operator"]}
    await biller.submit(numbers[1], "Sua fatura vence amanha")
    await stage.until(lambda: len(biller.receipts) == 2, "the second is reported")
    assert (biller.receipts[1].stat, biller.receipts[1].err) == ("REJECTD", "011")
    assert stage.operator.binds == binds
    backup.stop()
