"""Accounts that name a template in the text: what WhatsApp gets, and what goes by SMS instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from gateway.delivery.directives import Directives
from gateway.messages.outcome import Status
from gateway.messages.states import State
from gateway.smpp import charset
from gateway.store.valkey import Store
from gateway.texts import retext_of, segments_of, text_of
from tests.gateway.delivery.house import SMS_ONLY, ZAP_ONLY
from tests.gateway.delivery.zap_house import CLOUD_API, EVOLUTION, ZapHouse

TEMPLATES = [
    {"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"]},
    {"name": "aviso", "language": "pt_BR", "body": {"nome": "{nome}", "valor": "{valor}"},
     "text": "Ola {{nome}}, sao {{valor}}."},
    {"name": "sgp_titulo_aberto", "language": "pt_BR"},
]  # fmt: skip
OFFICIAL: dict[str, Any] = {**CLOUD_API, "templates": TEMPLATES}


gsm = charset.gsm7_encode


async def house_of(store: Store, *routes: Any, provider: dict[str, Any] = OFFICIAL, on: bool = True) -> ZapHouse:
    house = ZapHouse(store, *routes, provider=provider)
    directives = Directives(
        text_of=text_of, choose=charset.choose, retext=retext_of, count=segments_of,
        is_whatsapp=lambda name: house.delivery.channels[name].kind == "whatsapp",
    )  # fmt: skip
    directives.accounts = frozenset({"billing"} if on else {"shop"})
    for desk in (house.intake, house.joining, house.operations):
        desk.directives = directives
    return await house.start()


def templates(house: ZapHouse) -> list[Any]:
    return [body["template"] for body in house.http.bodies("/messages") if body["type"] == "template"]


def values(template: Any) -> list[str]:
    return [one["text"] for component in template.get("components", ()) for one in component["parameters"]]


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        (gsm("template=fatura\nparam=de Ana\n\nOla Ana"), "fatura", ["de Ana"]),
        (gsm("template=sgp_titulo_aberto\nparam=Ana\nparam=10/12\nOla Ana"), "sgp_titulo_aberto", ["Ana", "10/12"]),
        (gsm("template=fatura\nparam=  a      b \nOla Ana"), "fatura", ["a b"]),
        (gsm("template=fatura\nparam=\nOla Ana"), "fatura", ["-"]),
        (gsm("template=fatura\nparam={0}%s{t}{{2}}\nOla Ana"), "fatura", ["{0}%s{t}{{2}}"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_template_that_is_named_goes_with_its_parameters_made_fit(
    store: Store, text: bytes, name: str, parameters: list[str]
) -> None:
    house = await house_of(store)
    message_id = await house.submit_one(user_data=text)
    (template,) = templates(house)
    assert (template["name"], values(template)) == (name, parameters)
    house.webhook("W0", Status.FAILED, 131026)
    await house.settle()
    (by_sms,) = house.operator.taken
    assert (by_sms.id, text_of(by_sms)) == (message_id, "Ola Ana"), "the lines of the directive stay here"


@pytest_twisted.ensureDeferred
async def test_named_parameters_get_the_names_of_the_template(store: Store) -> None:
    house = await house_of(store)
    await house.submit_one(user_data=gsm("template=aviso\nparam=Ana\nparam=R$ 9\n"))
    (template,) = templates(house)
    assert [(one["parameter_name"], one["text"]) for one in template["components"][0]["parameters"]] == [
        ("nome", "Ana"), ("valor", "R$ 9"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [gsm("template=nowhere\nOla Ana"), gsm("template=fatura\nparam=a\nparam=b\nOla Ana"),
             gsm("template=fatura\nparam=" + "x" * 1025 + "\nOla Ana"), gsm("template=aviso\nparam=a\nOla Ana"),
             gsm("template=aviso\nparam=" + "x" * 600 + "\nparam=" + "y" * 420 + "\nOla Ana")]
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_a_template_that_cannot_go_so_is_an_sms_at_once(store: Store, text: bytes) -> None:
    house = await house_of(store)
    message_id = await house.submit_one(user_data=text, in_payload=True)
    assert house.sent == [] and [one.id for one in house.operator.taken] == [message_id]
    assert text_of(house.operator.taken[0]) == "Ola Ana"


@pytest.mark.parametrize("provider", [OFFICIAL, EVOLUTION], ids=["official", "evolution"])
@pytest_twisted.ensureDeferred
async def test_without_permission_a_text_is_a_text(store: Store, provider: dict[str, Any]) -> None:
    house = await house_of(store, provider=provider, on=False)
    text = "template=fatura\nparam=Ana\nOla Ana"
    await house.submit_one(user_data=text.encode())
    if provider is OFFICIAL:
        assert templates(house) == [] and text_of(house.operator.taken[0]) == text
    else:
        assert json.loads(house.http.requests[-1].body)["text"] == text


@pytest_twisted.ensureDeferred
async def test_a_sender_that_needs_no_template_says_the_text_behind_it(store: Store) -> None:
    house = await house_of(store, provider=EVOLUTION)
    await house.submit_one(user_data=gsm("template=fatura\nparam=Ana\n\nOla Ana"))
    assert json.loads(house.http.requests[-1].body)["text"] == "Ola Ana"


@pytest_twisted.ensureDeferred
async def test_a_backslash_lets_a_text_begin_with_the_word(store: Store) -> None:
    house = await house_of(store, SMS_ONLY)
    await house.submit_one(user_data=charset.gsm7_encode("\\template=fatura\nOla"))
    assert text_of(house.operator.taken[0]) == "template=fatura\nOla"


@pytest_twisted.ensureDeferred
async def test_where_nothing_else_is_said_the_approved_text_goes_by_sms(store: Store) -> None:
    house = await house_of(store)
    assert house.intake.directives is not None
    house.intake.directives.texts = {"aviso": "Ola {{1}}, sao {{2}}."}
    await house.submit_one(user_data="template=aviso\nparam=João\nparam=R$ 9".encode("utf-16-be"), data_coding=8)
    house.webhook("W0", Status.FAILED, 131026)
    await house.settle()
    assert text_of(house.operator.taken[0]) == "Ola João, sao R$ 9."


@pytest_twisted.ensureDeferred
async def test_where_nothing_can_be_said_by_sms_none_is_sent(store: Store) -> None:
    house = await house_of(store)
    message_id = await house.submit_one(user_data=gsm("template=sgp_titulo_aberto\nparam=Ana"))
    assert [values(one) for one in templates(house)] == [["Ana"]]
    house.webhook("W0", Status.FAILED, 131026)
    await house.settle()
    assert house.operator.taken == [] and (await house.ends(message_id)).state is State.UNDELIVERABLE


@pytest_twisted.ensureDeferred
async def test_a_route_of_nothing_but_sms_takes_it_as_it_came(store: Store) -> None:
    house = await house_of(store, SMS_ONLY)
    await house.submit_one(user_data=gsm("template=sgp_titulo_aberto\nparam=Ana"))
    assert text_of(house.operator.taken[-1]) == "template=sgp_titulo_aberto\nparam=Ana"


@pytest_twisted.ensureDeferred
async def test_parts_name_a_template_together_and_share_what_is_left(store: Store) -> None:
    house = await house_of(store)
    texts = [b"template=fatura\npar", b"am=de Ana\n\nOla Ana, ", b"sua fatura vence hoje."]
    ids = await house.submit(*(house.part(n, 3, text=text) for n, text in enumerate(texts, 1)))
    assert [values(one) for one in templates(house)] == [["de Ana"]]
    house.webhook("W0", Status.FAILED, 131026)
    await house.settle()
    assert [one.id for one in house.operator.taken] == ids
    assert "".join(text_of(one) or "" for one in house.operator.taken) == "Ola Ana, sua fatura vence hoje."
    assert [one.user_data[:6] for one in house.operator.taken] == [bytes((5, 0, 3, 7, 3, n)) for n in (1, 2, 3)]


@pytest_twisted.ensureDeferred
async def test_parts_with_nothing_behind_it_go_by_whatsapp_only(store: Store) -> None:
    house = await house_of(store)
    ids = await house.submit(
        house.part(1, 2, text=gsm("template=sgp_titulo_")), house.part(2, 2, text=b"aberto\nparam=Ana")
    )
    assert [values(one) for one in templates(house)] == [["Ana"]]
    house.webhook("W0", Status.FAILED, 131026)
    await house.settle()
    assert house.operator.taken == [] and {(await house.ends(one)).state for one in ids} == {State.UNDELIVERABLE}


@pytest_twisted.ensureDeferred
async def test_a_replaced_text_may_name_another_one_and_the_end_forgets_it(store: Store) -> None:
    house = await house_of(store, ZAP_ONLY)
    message_id = await house.submit_one(
        user_data=gsm("template=fatura\nparam=Ana\nOla"), schedule_at=house.now + 60, registered_delivery=1
    )
    text = gsm("template=aviso\nparam=A\nparam=B")
    replaced = house.operations.replace("billing", message_id, "28940", None, None, 1, text)
    answer = ensureDeferred(replaced)
    await house.settle()
    assert await answer == 0
    assert (await house.read(message_id)).template == ("aviso", "A", "B")
    await house.passes(61.0)
    await house.passes(1.0)
    assert [one["name"] for one in templates(house)] == ["aviso"]
    house.webhook("W0", Status.DELIVERED)
    await house.settle()
    assert (await house.ends(message_id)).template == (), "what it said is not kept beyond its end"
