"""The configurations that come with the project, and the page that describes them."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from config.effects import without_effect
from config.load import load, model_in
from config.schema import Config
from config.secrets import hash_password
from config.units import duration
from tools.certificate import write_certificate

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {
    "POMBO_STORE": "rediss://:pw@valkey.example.com:6379/1",
    "BILLING_PASSWORD": "billing-s3cret",
    "OPERATOR_PASSWORD": "operator-s3cret",
    "ZAP_KEY": "zap-s3cret",
    "ZAP_WEBHOOK_SECRET": "hook-s3cret",
    "META_APP_SECRET": "app-s3cret",
    "META_VERIFY_TOKEN": "verify-s3cret",
    "D360_KEY": "d360-s3cret",
    "D360_WEBHOOK_SECRET": "d360-hook-s3cret",
    "POMBO_ADMIN_TOKEN": "admin-s3cret",
}


def every_key(model: type[BaseModel] = Config, place: str = "") -> list[str]:
    """The whole schema as `smpp_server.accounts[].window` and the like, leaves and the optional `when`."""
    out = []
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        key = f"{place}{field.alias or name}"
        if inner is None:
            out.append(key)
        else:
            listed = "tuple" in str(field.annotation)
            out += every_key(inner, f"{key}[]." if listed else f"{key}.")
    return out


def keys_in(value: Any, place: str = "") -> set[str]:
    """The same for a document."""
    out: set[str] = set()
    if isinstance(value, dict):
        for key, item in value.items():
            out |= {f"{place}{key}"} | keys_in(item, f"{place}{key}.")
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                out |= keys_in(item, f"{place.removesuffix('.')}[].")
    return out


def production(tmp_path: Path) -> Config:
    write_certificate(tmp_path / "key.pem", tmp_path / "certificate.pem")
    (tmp_path / "meta_token").write_text("EAAB\n")
    text = (ROOT / "config/production.yaml").read_text().replace("/run/secrets", str(tmp_path))
    (tmp_path / "production.yaml").write_text(text)
    files = {"TLS_KEY": str(tmp_path / "key.pem"), "TLS_CERTIFICATE": str(tmp_path / "certificate.pem")}
    environ = {**ENVIRON, **files, "CRM_PASSWORD_HASH": hash_password("secret12")}
    return load(tmp_path / "production.yaml", environ)


def test_the_small_example_loads_without_any_environment() -> None:
    config = load(ROOT / "config/pombo.yaml", {})
    assert config.store.url == "embedded"
    assert [account.system_id for account in config.smpp_server.accounts] == ["billing"]
    assert [config.bridge[0].name, config.smsc_client[0].name] == ["zap", "operator"]
    assert all("interface=127.0.0.1" in listen for listen in (*config.smpp_server.listen, *config.http.listen))
    assert without_effect(config) == []


def test_the_full_example_loads_with_its_variables_set(tmp_path: Path) -> None:
    config = production(tmp_path)
    official = config.bridge[1]
    assert official.api_key.get_secret_value() == "EAAB"
    assert official.lookup.when_unknown == "send"
    assert official.templates[0].body == ("{nome}", "{valor}", "{data}")
    assert official.templates[0].ttl == 600.0
    assert config.smsc_client[0].price == Decimal("0.08")
    when = config.routes[0].when
    assert when is not None
    assert (when.hours, when.from_, when.data_coding) == ((480, 1200), ("28940",), (0, 8))


def test_the_full_example_shows_every_key() -> None:
    shown = keys_in(yaml.safe_load((ROOT / "config/production.yaml").read_text()))
    assert sorted(set(every_key()) - shown) == []


def test_the_full_example_keeps_its_secrets_outside_and_shows_none(tmp_path: Path) -> None:
    config = production(tmp_path)
    words = f"{config!r} {config}"
    assert not any(value in words for value in ENVIRON.values())
    assert ":pw@" not in words


def test_the_page_names_every_key_and_no_other() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    named = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", page, re.MULTILINE))
    assert sorted(set(every_key()) - named) == []
    assert sorted(named - set(every_key()) - {"routes[].when"}) == []


def test_what_the_page_calls_the_default_is_the_default() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \|.*\| `([^`|]+)` \|$", page, re.MULTILINE)
    config = Config()
    for key, written in rows:
        value: Any = config
        for step in key.split("."):
            value = getattr(value, step)
        if isinstance(value, tuple):
            assert value == (written,), key
        elif isinstance(value, float):
            assert value == duration(written), key
        else:
            assert str(value).lower() == written.lower(), key
    assert len(rows) > 15
