"""What leaves the checkout: the wheel, the units of systemd, the files for containers."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from setuptools import build_meta

from config.load import load
from tests.tools.documented import ABSOLUTE, Machine, blocks
from tools.building import backend

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "config", "gateway", "smsc_client", "tools")
DOCKER, SYSTEMD = ROOT / "docker", ROOT / "config/systemd"
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    here = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".sh"
    }
    assert here - inside == set()


@pytest.mark.slow
def test_the_sdist_holds_what_a_checkout_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "twistd.tac",
        "CHANGELOG.md",
        "docs/first-hour.md",
        "docker/Dockerfile",
        "tests/test_docs.py",
    } <= inside
    assert not [name for name in inside if "/secrets/" in name or "__pycache__" in name]


# -- systemd


def test_the_unit_runs_the_command_reloads_by_sighup_and_gives_up_every_right() -> None:
    unit = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "config/systemd/pombo.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("/pombo run") and "HUP" in service["ExecReload"]
    assert service["Type"] == "notify" and service["TimeoutStartSec"] == "infinity", "a large store takes a while"
    assert service["Restart"] == "on-failure" and unit["Unit"]["StartLimitIntervalSec"] == "0", "it comes back"
    assert "MemoryDenyWriteExecute" not in service, "pyOpenSSL's callbacks, so all TLS towards others, need such memory"
    assert float(service["TimeoutStopSec"].removesuffix("s")) > 10, "a clean stop takes 10 s at most"
    assert service["NoNewPrivileges"] == "yes" and service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_the_unit_safe() -> None:
    words = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=15",
        str(ROOT / "config/systemd/pombo.service"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-500:]


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd is not installed")
def test_systemd_makes_the_user_and_the_folders_that_the_unit_needs(tmp_path: Path) -> None:
    """By the commands of the page, on a machine that has no folder which Debian does not make."""
    kept, [page] = tmp_path / "etc/pombo/secrets", [one for one in blocks("docs/service.md") if "sysusers" in one.text]
    kept.mkdir(parents=True)
    for path in (kept.parent / "pombo.yaml", kept / "admin_token"):
        path.touch(mode=0o600)
    shutil.copytree(SYSTEMD, kept.parent / "examples/systemd")
    (tmp_path / "var/lib/pombo/store").mkdir(parents=True)  # what root has left in the first hour
    words = ABSOLUTE.sub(lambda found: f"{tmp_path}/{found[1]}", page.commands)
    words = re.sub(r"^(systemctl|journalctl) .*\n", "", words, flags=re.MULTILINE)
    words = re.sub(r"(systemd-sysusers|systemd-tmpfiles --create)", rf"\1 --root={tmp_path}", words)
    user = words.replace("chown -R pombo:", 'chown -R "$(grep ^pombo: etc/passwd | cut -d: -f3)"')
    done = subprocess.run(["bash", "-euc", user.replace(" etc/passwd", f" {tmp_path}/etc/passwd")],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    if done.returncode and os.geteuid():
        pytest.skip("only root may give files away")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var/lib/pombo/store").stat().st_uid == (tmp_path / "var/lib/pombo").stat().st_uid != 0
    assert (tmp_path / "etc/passwd").read_text().startswith("pombo:")
    modes = {path: (tmp_path / path).stat().st_mode & 0o777 for path in (
        "etc/pombo", "etc/pombo/pombo.yaml", "etc/pombo/secrets", "etc/pombo/secrets/admin_token", "var/lib/pombo",
    )}  # fmt: skip
    assert list(modes.values()) == [0o750, 0o640, 0o750, 0o640, 0o700]


# -- containers: there is no engine here, so the files are read, and what the image is built with is run as it stands


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    return [
        (word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word and word != "#"
    ]


def test_the_image_copies_what_exists_and_all_that_the_packages_need() -> None:
    copied = {
        name for word, rest in instructions() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    assert copied == {*PACKAGES, "pyproject.toml", "setup.cfg", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    words = [word for word, _ in instructions()]
    assert dict(instructions())["USER"].isdigit() and words.index("USER") < words.index("ENTRYPOINT")
    assert "/readyz" in dict(instructions())["HEALTHCHECK"]


@pytest.mark.slow
def test_the_steps_of_the_image_make_a_pombo_that_runs(wheel: Path, tmp_path: Path) -> None:
    """Each RUN in a clean directory that holds what COPY has brought, on a machine whose root is another."""
    machine = Machine(tmp_path / "machine", wheel)
    source = machine.root / "src"
    source.mkdir()
    build, image = " ".join(f"{word} {rest}" for word, rest in instructions()).split("FROM ")[1:]
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for name in rest.split()[:-1]:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, source / name)
    first, second = (rest for word, rest in instructions() if word == "RUN")
    assert first in build and second in image
    machine.run(first, cwd=source)
    assert machine.run("/opt/pombo/bin/pombo version").startswith("pombo 0.")
    if os.geteuid() == 0:
        for name in ("passwd", "group", "shadow", "gshadow"):
            (machine.root / "etc" / name).touch()
        machine.run(
            second.replace("useradd ", f"useradd --prefix {machine.root} ").replace(" /var", f" {machine.root}/var")
        )
        user = (machine.root / "etc/passwd").read_text()
        assert user.startswith(f"pombo:x:{dict(instructions())['USER']}:")


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([str(HADOLINT), str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_compose_file_mounts_what_exists_and_names_what_it_defines(tmp_path: Path) -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert source in compose["volumes"] if source[0] not in "./" else (DOCKER / source).exists(), mount
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        assert "image" in service or (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    text = (DOCKER / "pombo.yaml").read_text()
    named = set(re.findall(r"/run/secrets/(\w+)", text))
    assert named == set(compose["services"]["gateway"]["secrets"])
    for name in named:
        (tmp_path / name).write_text("s3cret12")
    (tmp_path / "pombo.yaml").write_text(text.replace("/run/secrets", str(tmp_path)))
    assert load(tmp_path / "pombo.yaml", {}).store.url == "redis://:s3cret12@store:6379/0"


def test_a_checkout_that_is_installed_as_it_stands_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build_meta, "build_editable", lambda directory, *_: f"{directory}/pombo.whl")
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "one.py").write_text("x = 1\n")
    (tmp_path / "gateway" / "other.py").write_text("no Python\n")
    assert backend.build_editable("here", None) == "here/pombo.whl"
    assert [path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")] == ["one"]
