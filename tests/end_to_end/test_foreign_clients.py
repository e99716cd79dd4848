"""SMPP libraries that are not ours bind, submit and get their receipts: Python, Node.js and Perl."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import PASSWORD, Stage
from tests.end_to_end.test_parts import LONG_UCS2

CLIENTS = Path(__file__).parent / "clients"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pombo-tests"
PATIENCE_S = 30
INSTALL_S = 90
numbers = itertools.count(11977002000)


def run(command: list[str], environ: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Run a client to its end: (the ids it was given, its receipts as id -> stat)."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **(environ or {})}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["id"] for line in said if "id" in line], {r["receipt"]: r["stat"] for r in said if "receipt" in r}


async def goes_through(
    stage: Stage, command: list[str], environ: Mapping[str, str] | None = None, text: str = "Ola, a fatura vence hoje."
) -> tuple[str, list[str]]:
    """The client's text reaches a handset by SMS and comes back as DELIVRD: (the number, the ids)."""
    to = f"55{next(numbers)}"
    words = [*command, str(stage.smpp_port), "billing", PASSWORD, "28940", to, text]
    ids, receipts = await deferToThread(run, words, environ)
    assert receipts == dict.fromkeys(ids, "DELIVRD")
    submits = [submit for submit in stage.operator.submits if submit.dest == to]
    assert "".join(submit.text for submit in submits) == text
    return to, ids


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The npm package smpp, installed once into the user's cache."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node.js with npm is not installed")
    modules = CACHE / "node_modules"
    if not (modules / "smpp" / "package.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--loglevel=error", "smpp@0.5"]
        try:
            done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install smpp within {INSTALL_S} s")
        if done.returncode:
            pytest.skip(f"npm cannot install smpp: {done.stderr.strip()[-300:]}")
    return modules


@pytest.fixture(scope="module")
def perl() -> str:
    """A Perl with Net::SMPP (Debian: libnet-smpp-perl)."""
    found = shutil.which("perl")
    if not found or subprocess.run([found, "-MNet::SMPP", "-e1"], capture_output=True).returncode:
        pytest.skip("Perl's Net::SMPP is not installed (Debian: apt-get install libnet-smpp-perl)")
    return found


@in_reactor
async def test_smpplib_gets_its_receipt(running: Stage) -> None:
    _, ids = await goes_through(running, [sys.executable, str(CLIENTS / "smpplib_client.py")])
    assert len(ids) == 1


@in_reactor
async def test_smpplib_gets_a_receipt_for_every_part_of_a_long_text(running: Stage) -> None:
    command = [sys.executable, str(CLIENTS / "smpplib_client.py")]
    to, ids = await goes_through(running, command, text=LONG_UCS2)
    assert len(ids) == len([submit for submit in running.operator.submits if submit.dest == to]) == 3


@in_reactor
async def test_the_npm_package_smpp_gets_its_receipt(running: Stage, node_modules: Path) -> None:
    await goes_through(running, ["node", str(CLIENTS / "node_smpp.js")], {"NODE_PATH": str(node_modules)})


@in_reactor
async def test_net_smpp_of_perl_gets_its_receipt(running: Stage, perl: str) -> None:
    await goes_through(running, [perl, str(CLIENTS / "net_smpp.pl")])
