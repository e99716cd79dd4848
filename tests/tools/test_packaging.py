"""What leaves the checkout: the wheel, the units of systemd, the files for containers."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from config.load import load
from tools.gateway_process import free_port

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "config", "gateway", "smsc_client", "tools")
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Built from a copy without anything that git does not know."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    words = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(copy))
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("pombo-*.whl")
    yield found


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
def test_the_wheel_alone_makes_a_configuration_and_runs(wheel: Path, tmp_path: Path) -> None:
    """As a newcomer would, in a directory of their own: init, check, run, ready, stopped."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    home = tmp_path / "home"
    home.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(site), "POMBO_CONFIG": str(home / "conf/pombo.yaml")}

    def pombo(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.cli", *words]
        return subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=60)

    assert pombo("init", "conf").returncode == 0
    path = home / "conf/pombo.yaml"
    smpp, http = free_port(), free_port()
    path.write_text(path.read_text().replace("tcp:2775:", f"tcp:{smpp}:").replace("tcp:8081:", f"tcp:{http}:"))
    assert pombo("check", str(path)).stdout == f"{path}: ok\n"
    running = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "run"], cwd=home, env=environ,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert _ready(f"http://127.0.0.1:{http}/readyz", running), running.communicate(timeout=10)
        status = pombo("status")
        assert "billing" in status.stdout, status
        path.write_text(path.read_text().replace("throughput: 100/s", "throughput: lots"))
        refused = pombo("reload")
        assert refused.returncode == 1 and "expected a rate" in refused.stderr
        path.write_text(path.read_text().replace("throughput: lots", "throughput: 90/s"))
        assert pombo("reload").stdout == "reloaded: smpp_server\n"
    finally:
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 0, said


def _ready(url: str, process: subprocess.Popen[str]) -> bool:
    for _ in range(300):
        try:
            if requests.get(url, timeout=2).ok:
                return True
        except requests.RequestException:
            pass
        if process.poll() is not None:
            return False
        time.sleep(0.1)
    return False


# -- systemd


def test_the_unit_runs_the_command_reloads_by_sighup_and_gives_up_every_right() -> None:
    unit = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "config/systemd/pombo.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("/pombo run") and "HUP" in service["ExecReload"]
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


# -- containers: there is no engine here, so the files are read


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


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=60)
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
