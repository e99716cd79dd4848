"""What people do with a text, and what they answer, through each provider: the whole way from webhook to deliver_sm."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Mo
from gateway.smpp import charset
from gateway.store.valkey import Store
from tests.bridge.simulated import OURS
from tests.gateway.delivery.provider_house import ProviderHouse

APIS = tuple(OURS)
AS_WRITTEN, NUMBER = "(31) 98888-7777", "5531988887777"


def pressed(api: str, event: dict[str, Any], words: str) -> dict[str, Any]:
    """Make a text event one of a button that was pressed."""
    match api:
        case "evolution":
            event["data"]["message"] = {"templateButtonReplyMessage": {"selectedDisplayText": words, "selectedId": "1"}}
        case "waha":
            inner = {"buttonsResponseMessage": {"selectedDisplayText": words, "selectedButtonId": "1"}}
            event["payload"] |= {"body": None, "_data": {"message": inner}}
        case "wppconnect":
            event |= {"type": "template_button_reply", "body": words}
        case _:
            text = event["entry"][0]["changes"][0]["value"]["messages"][0]
            text |= {"type": "button", "button": {"payload": "1", "text": words}}
            del text["text"]
    return event


def photographed(api: str, event: dict[str, Any], caption: str) -> dict[str, Any]:
    """Make a text event one of a picture."""
    match api:
        case "evolution":
            event["data"]["message"] = {"imageMessage": {"mimetype": "image/jpeg", "caption": caption}}
        case "waha":
            event["payload"] |= {"body": caption, "hasMedia": True, "media": {"mimetype": "image/jpeg"}}
        case "wppconnect":
            event |= {"type": "image", "body": "/9j/4AAQSkZJRg==", "caption": caption}
        case _:
            text = event["entry"][0]["changes"][0]["value"]["messages"][0]
            text |= {"type": "image", "image": {"id": "1", "mime_type": "image/jpeg", "caption": caption}}
            del text["text"]
    return event


def attached(api: str, event: dict[str, Any], name: str) -> dict[str, Any]:
    """Make a text event one of a file."""
    kind = "application/pdf"
    match api:
        case "evolution":
            event["data"]["message"] = {"documentMessage": {"mimetype": kind, "fileName": name}}
        case "waha":
            event["payload"] |= {"body": "", "hasMedia": True, "media": {"mimetype": kind, "filename": name}}
        case "wppconnect":
            event |= {"type": "document", "body": "JVBERi0x", "filename": name}
        case _:
            text = event["entry"][0]["changes"][0]["value"]["messages"][0]
            text |= {"type": "document", "document": {"id": "1", "mime_type": kind, "filename": name}}
            del text["text"]
    return event


def unchanged(api: str, event: dict[str, Any], words: str) -> dict[str, Any]:
    return event


@pytest.mark.parametrize(
    ("change", "words", "text"),
    [
        (unchanged, "Já paguei, obrigado!", "Já paguei, obrigado!"),
        (pressed, "Falar com atendente", "Falar com atendente"),
        (photographed, "meu comprovante", "[imagem] meu comprovante"),
        (attached, "comprovante.pdf", "[documento] comprovante.pdf"),
    ],
)
@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_what_a_person_answers_reaches_the_account_that_wrote(
    store: Store, api: str, change: Any, words: str, text: str
) -> None:
    house = await ProviderHouse(store, api).open()
    house.acts(NUMBER, "read")
    [message_id] = await house.submit(house.message(msisdn=NUMBER, dest=AS_WRITTEN))
    await house.ends(message_id)
    event = change(api, house.provider.text_event(NUMBER, words, "ABCDEF01"), words)
    for _ in range(2):  # webhooks come twice
        house.spawned(house.provider.webhooks.send(event), "a person writes", house.sender.log)
        await house.flows(0.5)
    house.spawned.check()
    [mo] = [one for one in house.bound.got if isinstance(one, Mo)]
    assert (mo.account, mo.source, mo.dest) == ("billing", AS_WRITTEN, "28940")
    assert charset.decode_text(mo.user_data, mo.data_coding, "gsm7") == text


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_that_a_text_was_read_stands_in_its_trace(store: Store, api: str) -> None:
    house = await ProviderHouse(store, api).open()
    house.acts(NUMBER, "read")
    [message_id] = await house.send(NUMBER)
    await house.ends(message_id)
    story = [event.event for event in await house.trace(message_id)]
    assert [event for event in story if event in ("sent", "ack", "delivered", "read")] == [
        "sent", "ack", "delivered", "read",
    ]  # fmt: skip
    assert len(house.bound.got) == 1, "and changes no receipt"
