"""A configuration written down without its secrets, and what comes of reading it again."""

from __future__ import annotations

from pathlib import Path

from config.export import exported
from config.load import load_as_written
from tests.config.test_compare import BASE, ENVIRON


def test_an_exported_configuration_is_the_same_one_and_has_no_secret(tmp_path: Path) -> None:
    """R17."""
    (tmp_path / "key").write_text("from-a-file\n")
    text = BASE.replace("api_key: zap-secret", f"api_key: '${{file:{tmp_path}/key}}'")
    (tmp_path / "a.yaml").write_text(text)
    config, written = load_as_written(tmp_path / "a.yaml", ENVIRON)
    told, names = exported(written)
    assert names == [
        "SMPP_SERVER_ACCOUNTS_BILLING_PASSWORD", "SMSC_CLIENT_OPERATOR_PASSWORD", "BRIDGE_MANY_API_KEY",
        "BRIDGE_MANY_SENDERS_1_API_KEY",
    ]  # fmt: skip
    assert "secret" not in told and "from-a-file" not in told and "${CRM}" in told
    (tmp_path / "b.yaml").write_text(told)
    secrets = dict(zip(names, ("first-secret", "op-secret", "many-secret", "sales-secret"), strict=True))
    assert load_as_written(tmp_path / "b.yaml", {**ENVIRON, **secrets})[0] == config


def test_a_url_with_a_password_in_it_is_a_secret(tmp_path: Path) -> None:
    text = BASE.replace("http://127.0.0.1:8080", "http://me:url-secret@127.0.0.1:8080")
    (tmp_path / "a.yaml").write_text(text + "store: {url: 'redis://:store-secret@127.0.0.1'}\n")
    told, names = exported(load_as_written(tmp_path / "a.yaml", ENVIRON)[1])
    assert "secret" not in told and {"BRIDGE_ZAP_URL", "STORE_URL"} <= set(names)
