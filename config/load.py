"""From a file to a `Config`, or to every problem of the file at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.between import between
from config.document import Document, Path, dotted, read
from config.fields import Substituted, kind_of, shown
from config.references import Resolver
from config.schema import Config

_MOST_BYTES = 4_000_000


class ConfigErrors(Exception):
    """The file cannot be used. `errors`: one sentence per problem, `FILE:LINE: path.to.key: what is wrong, what would
    be right`, in the order of the lines. None of them holds a secret."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file. ConfigErrors when it is missing, unreadable or wrong in any way."""
    return load_as_written(path, environ)[0]


def load_as_written(
    path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ
) -> tuple[Config, dict[str, Any]]:
    """The configuration, and its values as the file writes them: texts, numbers, lists and mappings, with
    `Substituted` where something was filled in."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "bad name"
        raise ConfigErrors(
            [f"{name}:1: file: cannot be read ({reason}); name a configuration file, or make one with `pombo init DIR`"]
        ) from None
    if len(data) > _MOST_BYTES:
        raise ConfigErrors([f"{name}:1: file: is larger than {_MOST_BYTES} bytes; name a configuration file"])
    document = read(data, Resolver(environ, os.path.dirname(os.path.abspath(name))))
    config = None
    if document.values is not None:
        config = _validate(document)
        between(document)
    if document.errors or config is None:
        raise ConfigErrors(_sentences(name, document))
    return config, document.values


def _sentences(name: str, document: Document) -> list[str]:
    rows = sorted({(line, dotted(path), what) for line, path, what in document.errors})
    return [f"{name}:{line}: {path}: {what}" for line, path, what in rows]


def _validate(document: Document) -> Config | None:
    """The models' opinion; what they object to goes into the document's errors in our words."""
    try:
        return Config.model_validate(document.values, context={"file": True})
    except ValidationError as wrong:
        found = wrong.errors(include_url=False)
    for error in found:
        path = tuple(step for step in error["loc"])
        if any(path[: len(spoilt)] == spoilt for spoilt in document.spoilt):
            continue
        match error["type"]:
            case "missing":
                right = _EXAMPLES.get(str(path[-1]), "give it a value")
                document.error(path, f"is missing; {right}", document.key_line(path[:-1]))
            case "extra_forbidden":
                document.error(path, _unknown(path), document.key_line(path))
            case kind:
                document.error(path, _sentence(kind, error))
    return None


_EXAMPLES = {
    "system_id": "write the name used to bind, such as billing",
    "password": "write password: ${NAME} or ${file:/path}",
    "name": "give it a name that nothing else has",
    "connect": "write an endpoint such as tcp:10.0.0.5:2775",
    "provider": "write evolution, waha, wppconnect or cloud_api",
    "url": "write the address of the provider, such as http://127.0.0.1:8080",
    "instance": "write the instance, session or phone_number_id",
    "channels": "list at least one channel by name",
    "account": "write the system_id of an account",
    "match": "write the regular expression of the whole text",
    "language": "write a language code such as pt_BR",
}


def _sentence(kind: str, error: Any) -> str:
    """One of pydantic's findings as a sentence that shows no more than it may."""
    given = error["input"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "literal_error":
        choices = error["ctx"]["expected"].replace("'", "")
        words = choices.replace(" or ", ", ").split(", ")
        open_text = isinstance(given, str) and not isinstance(given, Substituted)
        near = difflib.get_close_matches(given.lower(), words, 1) if open_text else []
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{shown(given)} is not one of the choices; write {choices}{hint}"
    if kind in ("tuple_type", "list_type"):
        return f"expected a list, got {kind_of(given)}; write items with a dash before each, or remove the key"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"expected a mapping, got {kind_of(given)}; write keys with their values, or remove the key"
    if kind == "too_short":
        return "is an empty list; give at least one"
    return f"expected something else, got {kind_of(given)}"


def model_at(path: Path) -> type[BaseModel] | None:
    """The model that describes the mapping at a path, or None where there is none."""
    model: type[BaseModel] = Config
    for step in path:
        if isinstance(step, int):
            continue
        field = next((f for n, f in model.model_fields.items() if (f.alias or n) == step), None)
        inner = model_in(field.annotation) if field is not None else None
        if inner is None:
            return None
        model = inner
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = model_in(part)
        if found is not None:
            return found
    return None


def key_names(model: type[BaseModel]) -> list[str]:
    """The YAML keys of a section."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown(path: Path) -> str:
    """Names the nearest key of the section, or the section where the key belongs."""
    model = model_at(path[:-1])
    key = str(path[-1])
    names = key_names(model) if model is not None else []
    if key.partition(":")[0] in names:
        return "lacks the space behind its colon; write key: value"
    near = difflib.get_close_matches(key.lower().replace("-", "_"), names, 1, 0.6)
    if near:
        return f"is not a known key; did you mean {near[0]}?"
    homes = [place for place, keys in _homes().items() if key in keys]
    if homes:
        return f"is not a known key here; it belongs under {homes[0]}"
    return f"is not a known key; known here: {', '.join(names)}"


def _homes() -> dict[str, list[str]]:
    """Section name -> its keys, for the whole schema."""
    out: dict[str, list[str]] = {}

    def walk(model: type[BaseModel], place: str) -> None:
        out[place or "the top level"] = key_names(model)
        for name, field in model.model_fields.items():
            inner = model_in(field.annotation)
            if inner is not None:
                walk(inner, f"{place}.{field.alias or name}" if place else name)

    walk(Config, "")
    return out
