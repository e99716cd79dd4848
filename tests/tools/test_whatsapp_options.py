"""`pombo simulate whatsapp`: from words to a provider."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from tools.scripts import Ack
from tools.webhooks import Webhooks
from tools.whatsapp_options import add_arguments, provider_of
from tools.whatsapp_simulator import SIMULATORS, EvolutionSimulator, WhatsAppProvider

URL = "http://127.0.0.1:8081/webhooks/zap"
ENVIRON = {"ZAP_KEY": "k", "ZAP_WEBHOOK_SECRET": "hook", "ZAP_APP_SECRET": "app", "ZAP_VERIFY": "v"}


def simulated(*words: str, environ: dict[str, str] = ENVIRON) -> WhatsAppProvider:
    parser = argparse.ArgumentParser()
    add_arguments(parser, environ)
    options = parser.parse_args(words)
    clock = Clock()
    return provider_of(options, environ, clock, Webhooks(lambda *_: succeed(200), clock, url=options.webhook))


def test_without_more_words_it_speaks_evolutions_api() -> None:
    provider = simulated("--webhook", URL, "--key", "other", "--instance", "loja", "--jwt-key", "j", "--rate", "5/s")
    assert isinstance(provider, EvolutionSimulator)
    assert (provider.settings.key, provider.settings.instance, provider.settings.rate) == ("other", "loja", 5.0)
    assert provider.webhooks.jwt_key == "j"


@pytest.mark.parametrize("api", SIMULATORS)
def test_each_api_is_chosen_by_the_name_it_has_in_the_configuration(api: str) -> None:
    assert type(simulated("--provider", api)) is SIMULATORS[api]


@pytest.mark.parametrize(
    ("api", "words", "secret"),
    [
        ("waha", (), "hook"),
        ("cloud_api", (), "app"),
        ("cloud_api", ("--webhook-secret", "mine"), "mine"),
        ("evolution", ("--webhook-secret", ""), ""),
    ],
)
def test_the_secret_of_webhooks_is_the_apis_own(api: str, words: tuple[str, ...], secret: str) -> None:
    assert simulated("--provider", api, *words).settings.webhook_secret == secret


def test_wppconnects_secret_stands_in_the_url() -> None:
    assert simulated("--provider", "wppconnect", "--webhook", URL).webhooks.url == f"{URL}?key=hook"


def test_people_and_faults_are_as_said() -> None:
    provider = simulated(
        *("--account", "5511988880001", "--account", "5531988880002=5531988880002", "--no-account", "5511977770003"),
        *("--share", "1", "--disconnected", "--script", "5511988880001=fails_with:131026+twice"),
    )
    identities = [provider.people.identity(n) for n in ("5511988880001", "5531988880002", "5511977770003")]
    assert identities == ["5511988880001", "5531988880002", None]
    assert provider.trouble == "logged_out"
    script = provider.scripts.of("5511988880001")
    assert (script.code, script.copies, script.acks[-1]) == (131026, 2, Ack(0.4, "failed"))


@pytest.mark.parametrize("words", [("--provider", "fax"), ("--script", "x=nonsense"), ("--script", "5511*")])
def test_what_nobody_understands_is_refused(words: tuple[str, ...], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        simulated(*words)
    assert "error" in capsys.readouterr().err
