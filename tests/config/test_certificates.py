"""The files of a TLS listener are looked into before anything listens with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import ConfigErrors, load
from tools.certificate import write_certificate

CONFIG = """node: gw1
smpp_server:
  listen: ["ssl:0:privateKey={0}/key.pem:certKey={0}/certificate.pem{1}"]
  accounts: [{{system_id: billing, password: secret12}}]
smsc_client: [{{name: operator, connect: "tcp:127.0.0.1:1", system_id: a, password: b}}]
routes: [{{name: default, channels: operator}}]
"""


def errors(directory: Path, more: str = "") -> list[str]:
    path = directory / "pombo.yaml"
    path.write_text(CONFIG.format(directory, more))
    try:
        load(path, {})
    except ConfigErrors as wrong:
        return [error.removeprefix(f"{path}:") for error in wrong.errors]
    return []


def test_a_key_and_its_certificate_are_good(tmp_path: Path) -> None:
    write_certificate(tmp_path / "key.pem", tmp_path / "certificate.pem")
    assert errors(tmp_path) == []
    write_certificate(tmp_path / "ca_key.pem", tmp_path / "ca.pem")
    assert errors(tmp_path, f":extraCertChain={tmp_path}/ca.pem") == []


def test_key_and_certificate_may_be_in_one_file(tmp_path: Path) -> None:
    write_certificate(tmp_path / "key.pem", tmp_path / "certificate.pem")
    both = (tmp_path / "key.pem").read_bytes() + (tmp_path / "certificate.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(both)
    (tmp_path / "certificate.pem").write_bytes(both)
    assert errors(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("key.pem", "-----BEGIN NOTHING-----\n", "is no private key in PEM"),
        ("certificate.pem", "hunter2", "is no certificate in PEM"),
        ("certificate.pem", None, "does not belong to its privateKey"),
        ("chain.pem", "hunter2", "has no certificate in PEM"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line_and_never_shown(
    tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    write_certificate(tmp_path / "key.pem", tmp_path / "certificate.pem")
    write_certificate(tmp_path / "other.pem", tmp_path / "chain.pem")
    if text is None:
        write_certificate(tmp_path / "other.pem", tmp_path / name)
    else:
        (tmp_path / name).write_text(text)
    (error,) = errors(tmp_path, f":extraCertChain={tmp_path}/chain.pem")
    assert error.startswith("3: smpp_server.listen[0]: ") and says in error and name in error
    assert "hunter2" not in error
