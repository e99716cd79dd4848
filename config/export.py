"""A configuration written down again without its secrets: what `pombo config` prints of a running node.

What came through `${NAME}` or `${file:/path}` is written so again; a secret that the file held itself becomes
`${A_NAME_OF_ITS_PLACE}`. Read with the same environment, the result is the same configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from config.fields import Substituted
from config.load import model_in
from config.schema import Config


def exported(written: Mapping[str, Any]) -> tuple[str, list[str]]:
    """(the YAML, the names that stand for secrets the file held itself). written: as of config.load.load_as_written."""
    names: list[str] = []
    told = _without_secrets(written, Config, "", names)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120), names


def _without_secrets(value: Any, model: type[BaseModel] | None, place: str, names: list[str]) -> Any:
    if isinstance(value, Substituted):
        return value.written
    if isinstance(value, list | tuple):
        return [_without_secrets(one, model, f"{place}_{_name_of(one, number)}", names)
                for number, one in enumerate(value, 1)]  # fmt: skip
    if not isinstance(value, dict):
        return str(value) if isinstance(value, str) else value
    out = {}
    fields = {field.alias or name: field for name, field in model.model_fields.items()} if model is not None else {}
    for key, one in value.items():
        field, where = fields.get(key), f"{place}_{key}"
        if field is not None and isinstance(one, str) and not isinstance(one, Substituted) and _is_secret(field, one):
            name = re.sub(r"[^A-Z0-9]+", "_", where.upper()).strip("_")
            names.append(name)
            out[key] = f"${{{name}}}"
        else:
            out[key] = _without_secrets(one, model_in(field.annotation) if field is not None else None, where, names)
    return out


def _is_secret(field: Any, value: str) -> bool:
    """A URL is one when it carries a password, or may carry one."""
    return SecretStr.__name__ in repr(field.annotation) or (not field.repr and "@" in value)


def _name_of(value: Any, number: int) -> str:
    return str(value.get("name") or value.get("system_id") or number) if isinstance(value, dict) else str(number)
