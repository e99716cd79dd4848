"""The providers' published OpenAPI documents, where they lie beside this checkout; they are not part of it.

Looked for in the folder that POMBO_SPECS names, else in `shared/specs` beside the checkout or one of its parents.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
import yaml

from bridge.provider import HttpRequest

CHECKOUT = Path(__file__).resolve().parents[2]
NAMES = {
    "evolution": "evolution-openapi-v2.json",
    "waha": "waha-openapi.json",
    "wppconnect": "wppconnect-server-swagger.json",
    "cloud_api": "meta-business-messaging-api_v23.0.yaml",
}


def _folders() -> Iterator[Path]:
    if named := os.environ.get("POMBO_SPECS"):
        yield Path(named)
    for parent in CHECKOUT.parents:
        yield parent / "shared" / "specs"


def _mend_meta(schemas: Any) -> None:
    """Where the document says what the service does not."""
    # The service takes a language without its policy, which has one value only; most examples leave it out.
    schemas["LanguageObject"]["required"] = ["code"]
    # Usernames (v24) hide the number; `played` is a status of voice messages.
    schemas["Statuses"]["required"].remove("recipient_id")
    schemas["Statuses"]["properties"]["status"]["enum"].append("played")
    # The place of a button is 0 to 9, the document says so itself and then writes another expression.
    schemas["TemplateComponent"]["properties"]["index"].pop("pattern")
    schemas["ButtonComponent"]["allOf"][1]["properties"]["index"].pop("pattern")
    # "Nothing but text" beside the common properties would leave no body that fits.
    schemas["TextMessage"]["allOf"][1].pop("additionalProperties")


def _mend_waha(schemas: Any) -> None:
    """Names of events are strings, the document says objects; what a text between two people lacks is null."""
    for name in (name for name in schemas if name.startswith("WAHAWebhook")):
        schemas[name]["properties"]["event"].pop("type", None)
    for name, key in (("WAMessageAckBody", "participant"), ("WAMessage", "participant"), ("WAMessage", "mediaUrl")):
        schemas[name]["properties"][key]["type"] = ["string", "null"]


def _mend_evolution(paths: Any) -> None:
    """A deletion wants a participant only in a group; and the document misspells it where it says what is needed."""
    operation = paths["/chat/deleteMessageForEveryone/{instance}"]["delete"]
    operation["requestBody"]["content"]["application/json"]["schema"]["required"].remove("paticipant")


_MENDS = {"cloud_api": _mend_meta, "waha": _mend_waha}


@functools.cache
def _read(provider: str, path: Path) -> Any:
    text, loader = path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = json.loads(text) if path.suffix == ".json" else yaml.load(text, loader)
    if mend := _MENDS.get(provider):
        mend(found["components"]["schemas"])
    if provider == "evolution":
        _mend_evolution(found["paths"])
    return found


def document(provider: str) -> Any:
    """The document of a provider, to be looked at and not changed. The test is skipped where it cannot be found."""
    for folder in _folders():
        if (folder / NAMES[provider]).is_file():
            return _read(provider, folder / NAMES[provider])
    pytest.skip(f"{NAMES[provider]} is not beside this checkout; POMBO_SPECS may name its folder")


def operation_of(provider: str, method: str, url: str) -> Any:
    """The operation a request means; the path parameters of the document match any one segment."""
    path = urlsplit(url).path
    fitting = [
        (template.count("{"), operations[method.lower()])
        for template, operations in document(provider)["paths"].items()
        if method.lower() in operations
        and re.fullmatch(re.sub(r"\\\{.+?\\\}", "[^/]+", re.escape(template)), path) is not None
    ]
    assert fitting, f"{method} of such a path is not in the document of {provider}"
    return min(fitting, key=lambda one: one[0])[1]  # the most literal one


def hold(provider: str, value: object, schema: dict[str, Any]) -> None:
    """Hold a value against a schema of the document, whose references point into the document."""
    components = document(provider).get("components", {})
    jsonschema.Draft202012Validator({**schema, "components": components}).validate(value)


def _resolved(provider: str) -> Callable[[Any], Any]:
    named = document(provider).get("components", {}).get("parameters", {})
    return lambda one: named[one["$ref"].rpartition("/")[2]] if "$ref" in one else one


def hold_answer(provider: str, request: HttpRequest, status: int, body: object) -> None:
    """Hold an answer against what the document says of its operation, where it says anything."""
    answer = operation_of(provider, request.method, request.url)["responses"].get(str(status), {})
    if content := answer.get("content", {}).get("application/json"):
        hold(provider, body, content["schema"])


def hold_request(provider: str, request: HttpRequest) -> None:
    """Hold a request of ours against its operation: path, what its query must and may hold, and its body."""
    operation = operation_of(provider, request.method, request.url)
    parameters = [one for one in map(_resolved(provider), operation.get("parameters", [])) if one["in"] == "query"]
    given = parse_qs(urlsplit(request.url).query)
    assert {one["name"] for one in parameters if one.get("required")} <= given.keys()
    assert given.keys() <= {one["name"] for one in parameters}, "a parameter that nobody asks for"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    assert bool(request.body) is bool(content)
    if content:
        assert request.header("content-type") == "application/json"
        hold(provider, request.json(), content["schema"])
