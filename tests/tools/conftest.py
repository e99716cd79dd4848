"""What leaves the checkout, built once for all who look at it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "var", "build", "dist", "secrets")


def backend(call: str, source: Path, out: Path) -> Path:
    """What setuptools makes of a source tree, without a network: build_sdist or build_wheel."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.{call}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=source, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, for setuptools writes beside its sources."""
    copy = tmp_path_factory.mktemp("checkout") / "pombo"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    return backend("build_sdist", copy, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, as whoever has no wheel does."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked)  # made a moment ago, by us
    (source,) = unpacked.iterdir()
    return backend("build_wheel", source, tmp_path_factory.mktemp("wheel"))
