"""The JSON Schema: what editors are told has to agree with what is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from config.json_schema import json_schema
from config.load import ConfigErrors, load
from config.schema import Config
from tests.config.test_compare import BASE
from tests.config.test_examples import every_key
from tests.config.test_load import BROKEN

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def good(text: str | bytes) -> bool:
    return not any(True for _ in VALIDATOR.iter_errors(yaml.safe_load(text)))


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", ["pombo.yaml", "production.yaml"])
def test_it_accepts_the_examples_which_carry_the_line_for_editors(name: str) -> None:
    text = (ROOT / "config" / name).read_text()
    assert good(text)
    assert text.startswith("# yaml-language-server: $schema=pombo.schema.json\n")


def test_the_file_beside_the_examples_is_what_the_command_prints() -> None:
    """`pombo schema > config/pombo.schema.json` makes it anew."""
    assert json.loads((ROOT / "config/pombo.schema.json").read_text()) == json_schema()


def test_it_accepts_what_is_accepted() -> None:
    assert good(BASE)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("smpp_server.session_init_timeout", "soon"),
        ("smpp_server.session_init_timeout", "10"),
        ("smpp_server.sesion_init_timeout", "10s"),
        ("smpp_server.accounts", [{"system_id": "a", "password": "b", "throughput": "500"}]),
        ("smpp_server.accounts", [{"password": "b"}]),
        ("smpp_server.accounts", [{"system_id": "a", "password": "b", "over_rate": "wait"}]),
        ("smpp_server.accounts", [{"system_id": "a", "password": "b", "max_binds": "many"}]),
        ("bridge", [{"name": "z", "provider": "telegram", "url": "http://x", "api_key": "k", "instance": "i"}]),
        ("routes", [{"name": "r"}]),
        ("log.level", "loud"),
        ("nothing", 1),
    ],
)
def test_it_refuses_what_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    document: dict[str, Any] = {}
    *path, last = key.split(".")
    place = document
    for step in path:
        place = place.setdefault(step, {})
    place[last] = value
    text = yaml.safe_dump(document)
    assert not good(text)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigErrors):
        load(tmp_path / "a.yaml", {})


def test_it_sees_much_of_what_is_wrong_in_a_file_and_the_check_sees_the_rest() -> None:
    seen = 0
    for _, text, *_ in BROKEN:
        try:
            seen += not good(text)
        except (yaml.YAMLError, ValueError):
            seen += 1
    assert len(BROKEN) / 4 < seen < len(BROKEN)


def test_defaults_are_written_as_people_write_them() -> None:
    account = json_schema()["$defs"]["AccountSettings"]["properties"]
    assert (account["throughput"]["default"], account["receipts_kept"]["default"]) == ("500/s", "7d")
    lookup = json_schema()["$defs"]["LookupSettings"]["properties"]
    assert (lookup["budget"]["default"], lookup["deadline"]["default"]) == ("1/s", "2s")


def test_every_key_is_in_it() -> None:
    text = json.dumps(json_schema())
    keys = {key.rpartition(".")[2].removesuffix("[]") for key in every_key(Config)}
    assert [key for key in keys if f'"{key}"' not in text] == []
