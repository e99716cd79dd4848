"""What is put aside after which word of the service, and for how long."""

from __future__ import annotations

import pytest

from bridge.forms import ASIDE_S, FAULTS, Forms
from bridge.templates import DirectText, Form, FreeText, TemplateText
from config.schema import BridgeSettings
from gateway.messages.outcome import Accepted, AttemptResult, NoAccount, Refused
from tests.bridge.fakes import START as NOW


def forms(direct_send: bool = False) -> Forms:
    settings = BridgeSettings.model_validate(
        {
            "name": "zap", "provider": "cloud_api", "url": "https://h/v25.0", "api_key": "k", "instance": "1",
            "direct_send": direct_send,
            "templates": [
                {"name": name, "language": "pt_BR", "match": "(?P<t>.*)", "body": ["{t}"]} for name in ("um", "dois")
            ],
        }
    )  # fmt: skip
    return Forms(settings)


def form(of: Forms, now: float = NOW) -> Form | None:
    return of.form_of("oi", window_open=False, ttl=60.0, now=now)


def name(of: Forms, now: float = NOW) -> str:
    found = form(of, now)
    return found.name if isinstance(found, TemplateText) else ""


UM = TemplateText("um", "pt_BR", (("", "oi"),))


def refused(reason: str) -> Refused:
    return Refused(reason, "132000", rejected=False)


def test_a_paused_template_gives_way_to_the_next_for_an_hour() -> None:
    known = forms()
    assert name(known) == "um"
    known.told(UM, refused("template_paused"), NOW)
    assert name(known) == "dois" and name(known, NOW + ASIDE_S - 1) == "dois"
    assert name(known, NOW + ASIDE_S) == "um"


def test_faults_count_only_in_a_row() -> None:
    known = forms()
    for _ in range(FAULTS - 1):
        known.told(UM, refused("template"), NOW)
    known.told(UM, Accepted("wamid.1"), NOW)
    known.told(UM, refused("template"), NOW)
    assert name(known) == "um"
    for _ in range(FAULTS - 1):
        known.told(UM, refused("template"), NOW)
    assert name(known) == "dois"


@pytest.mark.parametrize("result", [NoAccount("send", "131026"), refused("refused"), refused("configuration")])
def test_what_is_wrong_with_a_message_leaves_its_template_alone(result: AttemptResult) -> None:
    known = forms()
    for _ in range(9):
        known.told(UM, result, NOW)
    assert name(known) == "um"


def test_the_services_own_word_counts_at_once() -> None:
    known = forms()
    known.template_is("um", "pt_BR", False, NOW)
    known.template_is("dois", "en_US", False, NOW)  # another language is another template
    assert name(known) == "dois"
    known.template_is("um", "pt_BR", True, NOW)
    assert name(known) == "um"


def test_direct_send_is_over_when_the_service_says_so() -> None:
    known = forms(direct_send=True)
    for one in ("um", "dois"):
        known.template_is(one, "pt_BR", False, NOW)
    assert form(known) == DirectText("oi", 60.0)
    known.told(DirectText("oi", 60.0), refused("direct_send_off"), NOW)
    assert form(known) is None
    assert known.form_of("oi", window_open=True, ttl=60.0, now=NOW) == FreeText("oi")
