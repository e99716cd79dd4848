"""`pombo init`: what a newcomer begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.load import load
from tools import cli


def test_it_makes_a_configuration_that_loads_with_passwords_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert cli.main(["init", str(one)]) == 0
    assert cli.main(["init", str(other), "--state", str(tmp_path / "state")]) == 0
    first, second = load(one / "pombo.yaml", {}), load(other / "pombo.yaml", {})
    assert (first.store.directory, second.store.directory) == (str(one / "store"), str(tmp_path / "state/store"))
    assert first.smpp_server.accounts != second.smpp_server.accounts, "nobody shares a password"
    assert first.http.admin_token is not None and first.http.admin_token != second.http.admin_token
    secrets = [(path.name, path.stat().st_mode & 0o777) for path in sorted((one / "secrets").iterdir())]
    assert secrets == [(name, 0o600) for name in ("admin_token", "billing_password", "operator_password", "zap_key")]
    assert (one / "secrets").stat().st_mode & 0o777 == 0o700
    examples = {path.name for path in (one / "examples").rglob("*")}
    assert {"production.yaml", "pombo.schema.json", "pombo.service", "pombo-alerts.yml"} <= examples
    said = capsys.readouterr().out
    assert f"pombo check {one}/pombo.yaml" in said
    assert all(path.read_text().strip() not in said for path in (one / "secrets").iterdir())


def test_the_part_about_whatsapp_loads_too(tmp_path: Path) -> None:
    assert cli.main(["init", str(tmp_path)]) == 0
    path = tmp_path / "pombo.yaml"
    text = path.read_text()
    marked = re.search(r"^# (bridge:\n(?:#   .*\n|#     .*\n)+)", text, re.MULTILINE)
    assert marked
    text = text.replace(marked[0], marked[0].replace("# ", "", 1).replace("\n# ", "\n"))
    text = text.replace("channels: [operator]", "channels: [zap, operator]").replace(
        "# fallback_after", "fallback_after"
    )
    path.write_text(text)
    assert [bridge.name for bridge in load(path, {}).bridge] == ["zap"]


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", str(tmp_path)]) == 0
    password = (tmp_path / "secrets/billing_password").read_text()
    assert cli.main(["init", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "pombo.yaml").unlink()
    assert cli.main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "secrets/billing_password").read_text() == password


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["init", str(tmp_path / "file/below")]) == 1
    assert "name a directory you may write to" in capsys.readouterr().err
