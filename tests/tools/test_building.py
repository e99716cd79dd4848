"""Which Python `make` creates .venv with: tools/building/python.sh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHOICE = Path(__file__).parents[2] / "tools" / "building" / "python.sh"
BEST, GOOD_ENOUGH, TOO_OLD = 0, 2, 1  # what the script's question ends with


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ({"python3": BEST, "python3.13": BEST}, "python3"),
        ({"python3": GOOD_ENOUGH, "python3.13": GOOD_ENOUGH, "python3.12": BEST}, "python3.12"),
        ({"python3": TOO_OLD, "python3.13": GOOD_ENOUGH, "python3.12": GOOD_ENOUGH}, "python3.13"),
        ({"python3": TOO_OLD}, ""),
        ({}, ""),
    ],
)
def test_the_first_that_was_compiled_with_a_profile_is_taken(
    found: dict[str, int], chosen: str, tmp_path: Path
) -> None:
    for name, status in found.items():
        python = tmp_path / name
        python.write_text(f"#!/bin/sh\nexit {status}\n", encoding="utf-8")
        python.chmod(0o755)
    text = CHOICE.read_text(encoding="utf-8").replace("/usr/bin/python3", "python3")  # this system's own left out
    done = subprocess.run(["/bin/sh", "-c", text], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == (chosen, 0 if chosen else 1)


def test_what_this_system_has_can_make_one(tmp_path: Path) -> None:
    done = subprocess.run([CHOICE], env=dict(os.environ), capture_output=True, text=True, check=True)
    made = [done.stdout.strip(), "-m", "venv", "--without-pip", str(tmp_path / "venv")]
    subprocess.run(made, check=True)
    question = "import sys; print(sys.version_info >= (3, 11))"
    assert subprocess.check_output([tmp_path / "venv" / "bin" / "python", "-c", question], text=True).strip() == "True"
