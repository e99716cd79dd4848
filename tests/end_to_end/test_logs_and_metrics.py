"""After mixed traffic at the loudest log level: nobody's number, text or secret is to be found where it must not be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
from twisted.internet.threads import deferToThread

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.stage import KEY, OPERATOR_PASSWORD, PASSWORD, TOKEN, Stage
from tests.end_to_end.test_parts import LONG, LONG_UCS2
from tools.clock import pause
from tools.scripts import OPERATOR_WORDS, WHATSAPP_WORDS, OperatorScript, WhatsAppScript, read_script

WHATSAPP = [
    "delivered", "read+twice+shuffle", "early", "fails", "refuses", "http:503", "reset", "429", "lookup_error", "never",
]  # fmt: skip
OPERATOR = ["delivered", "undeliv", "refuse:0x0B", "throttle:1", "dropped+early", "twice", "rejected", "unknown"]
TEXTS = ["Segredo: a senha do portao e 4471", "Olá, João! Só você sabe: ação ⚡ confidencial", LONG, LONG_UCS2]


async def mixed_traffic(stage: Stage) -> list[str]:
    """Everything that can happen to a message, some clients that err, and an outage; the numbers that took part."""
    numbers = [f"55119730{n:05d}" for n in range(len(WHATSAPP) + len(OPERATOR))]
    for number, words in zip(numbers, WHATSAPP, strict=False):
        stage.provider.people.add(number)
        stage.provider.scripts.set(number, read_script(words, WHATSAPP_WORDS, WhatsAppScript()))
    for number, words in zip(numbers[len(WHATSAPP) :], OPERATOR, strict=True):
        stage.operator.scripts.set(number, read_script(words, OPERATOR_WORDS, OperatorScript()))
    ledger = Ledger(stage)
    biller = await stage.bind()
    ledger.watch(biller)
    for number in numbers:
        for text in TEXTS:
            biller.submit_parts(number, text)
    await biller.submit("(11) 9 7300-0001", TEXTS[0])
    await biller.submit("99887766554433221100", TEXTS[0])
    await biller.submit(numbers[0], TEXTS[0], source_addr="5511973099999")
    await stage.bind(password="wr0ngpw7", status=0x0E)
    await stage.bind(system_id="n0b0dy", password=PASSWORD, status=0x0F)
    for text in TEXTS[:2]:
        await stage.provider.says(numbers[0], text)
        stage.operator.mo(numbers[-1], "28940", text)
    await stage.ask("POST", "/webhooks/zap", data=f'{{"event": "{numbers[0]}", "data": "{TEXTS[0]}"')
    await stage.ask("POST", "/admin/messages", json={"account": "billing", "to": numbers[0], "text": TEXTS[0]})
    await stage.ask("GET", "/admin/messages", params={"number": numbers[0]})
    await stage.until(lambda: len(biller.receipts) > 20 and len(biller.texts) == 4, "receipts and replies come", 15)
    await stage.provider.connect(False)
    await stage.provider.connect(True)
    stage.gateway.kill_store()
    biller.raw(b"\xff" * 4 + numbers[0].encode())
    await pause(stage.reactor, 1.0)
    return numbers


@pytest.mark.parametrize("form", ["console", "json"])
@in_reactor
async def test_no_number_text_or_secret_is_in_the_log_or_the_metrics(stage: Stage, form: str) -> None:
    stage.settings["log"] = {"format": form, "level": "debug"}
    stage.settings["routes"][0]["fallback_after"] = "1s"
    await stage.start()
    numbers = await mixed_traffic(stage)
    _, metrics = await stage.ask("GET", "/metrics")
    assert "pombo_submitted_total" in metrics
    stage.gateway.kill()
    await stage.start(channels_up=False)
    await stage.stop()
    log = stage.gateway.log()
    assert "billing bound as transceiver" in log
    for secret in (PASSWORD, OPERATOR_PASSWORD, TOKEN, KEY, "wr0ngpw7", "n0b0dy"):
        assert secret not in log
        assert secret not in metrics
    for number in numbers:
        for written in (number, number[2:], number[4:], number[:4] + number[5:]):
            assert written not in log
            assert written not in metrics
    for text in TEXTS:
        for words in (
            text[:12],
            text[-12:],
            text[:12].encode("utf-16-be").hex(),
            text[:12].encode("latin-1", "ignore").hex(),
        ):
            assert words not in log
            assert words not in metrics
    assert not re.search(r'="\+?\d{8,}"', metrics)


@in_reactor
async def test_what_the_node_keeps_is_for_its_own_user_only(stage: Stage) -> None:
    await stage.start()
    directory: Path = stage.gateway.store_directory
    assert directory.stat().st_mode & 0o077 == 0
    for path in ("/admin/status", "/admin/messages?number=5511973000001", "/admin/messages/x"):
        for given in ({}, {"Authorization": "Bearer wr0ng-t0k3n"}, {"Authorization": TOKEN}):
            answer = await deferToThread(requests.get, stage.node.url + path, headers=given, timeout=5)
            assert answer.status_code == 401
    answer = await deferToThread(requests.post, stage.node.url + "/admin/reload", timeout=5)
    assert answer.status_code == 401
    log = stage.gateway.log()
    assert TOKEN not in log
    assert "wr0ng-t0k3n" not in log
