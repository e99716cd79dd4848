"""Each WhatsApp provider over sockets: a real gateway between its simulator, an operator and a billing system."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import KEY, Stage
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script
from tools.webhooks import Webhooks, http_get, http_post
from tools.whatsapp_simulator import SIMULATORS, CloudApiSimulator, ProviderSettings

SECRET, VERIFY = "w3bh00k-s3cret-of-this-test", "v3rify-of-this-test"
TEXT = "Sua fatura vence amanha"
# number -> the fault it meets, the channel that brings the text, and the sends the provider takes
PEOPLE = {
    "5511988880001": ("delivered", "zap", 1),
    "5531988880002": ("read_only+twice", "zap", 1),
    "5521988880003": ("read+shuffle+early", "zap", 1),
    "5551988880004": ("fails:300ms", "operator", 1),
    "5511988880005": ("never", "operator", 1),
    "5511988880006": ("http:503", "operator", 0),
    "5511988880007": ("429:1", "zap", 1),
    "5511988880008": ("hang+never", "operator", 1),
}
NOBODY = "5511977770009"


async def over(api: str) -> Stage:
    """A stage whose provider speaks this API, with its proofs switched on."""
    stage = Stage(reactor)
    webhooks = Webhooks(http_post(reactor), reactor, url=f"{stage.node.url}/webhooks/zap", first_gap_s=0.2)  # type: ignore[arg-type]
    settings = ProviderSettings(key=KEY, webhook_secret=SECRET, verify_token=VERIFY)
    stage.provider = SIMULATORS[api](settings, reactor, webhooks)  # type: ignore[arg-type]
    bridge = stage.settings["bridge"][0]
    bridge |= {"provider": api, "webhook_secret": SECRET, "timeout": "1s"}
    if api == "cloud_api":
        del bridge["webhook_secret"], bridge["lookup"]
        template = {"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"]}
        bridge["url"] += "/v25.0"
        bridge |= {"app_secret": SECRET, "verify_token": VERIFY, "templates": [template]}
    stage.settings["routes"][0]["fallback_after"] = "7s"
    return stage


@pytest.mark.parametrize("api", SIMULATORS)
@in_reactor
async def test_a_provider_brings_what_it_can_and_the_operator_the_rest(api: str) -> None:
    stage = await over(api)
    try:
        for number, (words, _, _) in PEOPLE.items():
            stage.provider.people.add(number)
            stage.provider.scripts.set(number, read_script(words, WHATSAPP_WORDS, WhatsAppScript()))
        await stage.open_operator()
        await stage.open_provider()
        await stage.start()
        biller = await stage.bind()
        answers: dict[str, Any] = {to: await biller.submit(to, TEXT) for to in (*PEOPLE, NOBODY)}
        assert {answer.status for answer in answers.values()} == {0}
        await stage.until(lambda: len(biller.receipts) >= len(answers), "everybody's receipt is here", 30)
        found = {to: [one.channel for one in biller.receipts_of(answers[to].message_id)] for to in answers}
        assert found == {**{to: [channel] for to, (_, channel, _) in PEOPLE.items()}, NOBODY: ["operator"]}
        assert {receipt.stat for receipt in biller.receipts} == {"DELIVRD"}
        taken = [sent.person for sent in stage.provider.sends if sent.message_id]
        assert {to: taken.count(to) for to in PEOPLE} == {to: sends for to, (_, _, sends) in PEOPLE.items()}
        by_sms = sorted(submit.dest for submit in stage.operator.submits)
        assert by_sms == sorted([NOBODY, *(to for to, (_, channel, _) in PEOPLE.items() if channel == "operator")])
        assert set(stage.provider.webhooks.answers) == {200}
        await stage.provider.says("5511988880001", "Já paguei")
        await stage.until(lambda: len(biller.texts) == 1, "the answer reaches the billing system")
    finally:
        await stage.close()


@pytest.mark.parametrize("api", SIMULATORS)
@in_reactor
async def test_webhooks_with_another_secret_are_refused(api: str) -> None:
    stage = await over(api)
    try:
        await stage.open_provider()
        await stage.open_operator()
        await stage.start()
        url = f"{stage.node.url}/webhooks/zap"
        forged = Webhooks(http_post(reactor), reactor, url=url, first_gap_s=0.05)  # type: ignore[arg-type]
        settings = ProviderSettings(key=KEY, webhook_secret="guessed", verify_token="guessed")
        forger = SIMULATORS[api](settings, reactor, forged)  # type: ignore[arg-type]
        forged.retries = type(forged.retries)(attempts=2)
        assert await forger.says("5511988880001", "Quem sou eu?") == 401
        assert await stage.provider.says("5511988880001", "Sou eu") == 200
        if isinstance(forger, CloudApiSimulator) and isinstance(stage.provider, CloudApiSimulator):
            assert not await forger.subscribe(http_get(reactor))
            assert await stage.provider.subscribe(http_get(reactor))
    finally:
        await stage.close()
