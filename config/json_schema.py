"""The JSON Schema of a configuration file, for editors: what `pombo schema` prints.

It knows keys, kinds and forms; what concerns more than one key only `pombo check` knows. Any value may come from
`${NAME}` or `${file:/path}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.schema import Config
from config.written import duration, rate

_REFERENCE = {"type": "string", "pattern": r"\$\{"}
_TEXTS: dict[str, Callable[[Any], str]] = {"duration": duration, "rate": rate, "money": str}


def json_schema() -> dict[str, Any]:
    """Draft 2020-12."""
    made = Config.model_json_schema(by_alias=True)
    _as_written(made)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Pombo's configuration",
    }


def _as_written(node: Any) -> None:
    """From the values that the models hold to what a file says."""
    if isinstance(node, list):
        for one in node:
            _as_written(one)
        return
    if not isinstance(node, dict):
        return
    for name, one in node.items():
        if name == "properties":
            for key, value in one.items():
                one[key] = _property(value)
        _as_written(one)


def _property(found: dict[str, Any]) -> dict[str, Any]:
    choices = found.pop("anyOf", None)
    kept = [one for one in choices or [found] if one.get("type") != "null"]
    extra: dict[str, Any] = {key: found[key] for key in ("default", "description") if key in found}
    found.pop("default", None)
    if extra.get("default", ...) is None:
        del extra["default"]
    form = next((one["format"] for one in kept if one.get("format") in _TEXTS), "")
    if form and "default" in extra:
        extra["default"] = _TEXTS[form](extra["default"])
    forms: list[dict[str, Any]] = []
    for one in kept:
        one.pop("title", None)
        if one.get("format") in (*_TEXTS, "password"):
            one.pop("format")
            one.pop("writeOnly", None)
        if one.get("type") == "array" and "$ref" not in one.get("items", {}):
            forms.append(one.get("items") or {"type": "string"})  # one of something may stand for a list of one
        forms.append(one)
        if one.get("type") in ("integer", "number", "boolean") or "enum" in one or "pattern" in one:
            forms.append(_REFERENCE)
    whole: dict[str, Any] = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {**whole, **extra}
