"""Everything that crosses the wire between a channel and its simulator, held against the providers' own documents."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.provider import HttpRequest, HttpResponse
from tests.bridge.documents import NAMES, document, hold, hold_answer, hold_request
from tests.bridge.simulated import Simulated

APIS = tuple(NAMES)
WITH_NINE, OLDER, NOBODY = "5511988880001", "5531988880002", "5511977770003"
SCRIPTS = ("read", "fails", "never", "http:503", "refuses", "429:1", "logged_out:3s+times:1")


class Overheard(Simulated):
    """A channel that meets everybody in one run: `exchanges` are its requests with their answers."""

    def __init__(self, api: str, script: str) -> None:
        super().__init__(api, script=script)
        self.exchanges: list[tuple[HttpRequest, HttpResponse]] = []
        send = self.wire.send

        async def overhear(request: HttpRequest, timeout: float) -> Any:
            outcome = await send(request, timeout)
            if isinstance(outcome, HttpResponse):
                self.exchanges.append((request, outcome))
            return outcome

        self.wire.send = overhear  # type: ignore[method-assign]
        self.provider.people.add(WITH_NINE)
        self.provider.people.add(OLDER)
        for index, number in enumerate((WITH_NINE, OLDER, NOBODY)):
            self.send(number, f"m{index}")
        self.does(self.provider.says(OLDER, "Já paguei"))
        self.send(OLDER, "m3")  # as a free text, where that makes a difference
        self.does(self.provider.connect(False))
        self.does(self.provider.connect(True))
        self.flows(20.0)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_request_is_one_of_the_published_document(api: str, script: str) -> None:
    document(api)
    overheard = Overheard(api, script)
    methods = {request.method for request in overheard.wire.requests}
    assert methods == {"GET", "POST"}, "sends, and whatever is asked"
    for request in overheard.wire.requests:
        hold_request(api, request)


@pytest.mark.parametrize("api", ["waha", "cloud_api"])  # the documents of the others say nothing of answers
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_simulator_answers_and_tells_as_the_published_document_says(api: str, script: str) -> None:
    overheard = Overheard(api, script)
    for request, answer in overheard.exchanges:
        hold_answer(api, request, answer.status, answer.json())
    assert overheard.exchanges and overheard.hooks
    for request, answer in overheard.hooks:
        assert answer.status == 200
        body: Any = request.json()
        if api == "waha":
            [content] = document(api)["webhooks"][body["event"]]["post"]["requestBody"]["content"].values()
            hold(api, body, content["schema"])
            continue
        for change in body["entry"][0]["changes"]:
            for status in change["value"].get("statuses", []):
                hold(api, status, {"$ref": "#/components/schemas/Statuses"})


def test_a_request_that_is_not_in_the_document_is_found_out() -> None:
    wrong = [
        HttpRequest("POST", "http://waha:3000/api/sendTexts", (), b"{}"),
        HttpRequest("DELETE", "http://waha:3000/api/sendText"),
        HttpRequest("GET", "http://waha:3000/api/contacts/check-exists?phone=1"),
        HttpRequest("GET", "http://waha:3000/api/contacts/check-exists?phone=1&session=main&more=1"),
        HttpRequest("POST", "http://waha:3000/api/sendText", (("Content-Type", "application/json"),), b'{"text": 1}'),
    ]
    document("waha")
    for request in wrong:
        with pytest.raises(Exception):  # noqa: B017
            hold_request("waha", request)
