"""Foreign peers, where they are installed, and stages with a recorder in front of the gateway.

`make interop` installs the peers and sets POMBO_INTEROP; then one that is missing is a failure. Without it the tests of
a missing peer are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
from twisted.internet import reactor

from tests.end_to_end.in_reactor import fixture
from tests.end_to_end.node import CHECKOUT
from tests.end_to_end.stage import PASSWORD, Stage
from tests.interop.recorder import Recorder

pytest.register_assert_rewrite("tests.interop.capture", "tests.interop.walk")
INSTALLED = CHECKOUT / "var" / "interop"


def missing(what: str) -> NoReturn:
    reason = f"{what}; `make interop` installs it"
    if os.environ.get("POMBO_INTEROP"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str | None:
    """Where it is; some of them are in directories that only root has in its path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="session")
def node_environ() -> dict[str, str]:
    """The environment in which Node.js finds the npm package smpp."""
    if not shutil.which("node"):
        missing("Node.js is not installed")
    modules = INSTALLED / "node_modules"
    if not (modules / "smpp" / "package.json").exists():
        missing("the npm package smpp is not installed")
    return {"NODE_PATH": str(modules)}


@pytest.fixture(scope="session")
def perl() -> str:
    """A Perl with Net::SMPP."""
    found = shutil.which("perl")
    if not found or subprocess.run([found, "-MNet::SMPP", "-MJSON::PP", "-e1"], capture_output=True).returncode:
        missing("Perl's Net::SMPP is not installed (Debian: libnet-smpp-perl)")
    return found


@pytest.fixture(scope="session")
def aiosmpplib() -> str:
    if not find_spec("aiosmpplib"):
        missing("the Python package aiosmpplib is not installed")
    return "aiosmpplib"


@pytest.fixture(scope="session")
def smpp_twisted() -> Path:
    """A Python with smpp.twisted3, which wants an older Twisted than the gateway's."""
    python = INSTALLED / "venv" / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import smpp.twisted"], capture_output=True).returncode:
        missing("the Python package smpp.twisted3 is not installed")
    return python


@pytest.fixture(scope="session")
def kannel() -> tuple[str, str]:
    """Its bearerbox and its smsbox."""
    bearerbox, smsbox = program("bearerbox"), program("smsbox")
    if not bearerbox or not smsbox:
        missing("Kannel is not installed (Debian: kannel)")
    return bearerbox, smsbox


@pytest.fixture(scope="session")
def tshark() -> str:
    found = program("tshark")
    if not found:
        missing("tshark is not installed (Debian: tshark)")
    return found


@pytest.fixture(scope="session")
def tshark_if_there() -> str | None:
    """For tests that need it for one more look only; test_capture.py tells when it is missing."""
    return program("tshark")


@fixture("module")
async def running() -> AsyncIterator[Stage]:
    """One running gateway for the clients of a module. It asks quiet clients after 0.4 s whether they are there, and
    lets the account `slow` have ten segments at once and then two a second."""
    stage = Stage(reactor)
    server = stage.settings["smpp_server"]
    server["enquire_link"] = "400ms"
    server["accounts"].append({"system_id": "slow", "password": PASSWORD, "throughput": "2/s"})
    try:
        await stage.open_operator()
        await stage.open_provider()
        await stage.start()
        yield stage
    finally:
        await stage.close()


@fixture("module")
async def wire(running: Stage) -> AsyncIterator[Recorder]:
    """The way of a module's clients to the running gateway."""
    recorder = Recorder(reactor, running.smpp_port)
    await recorder.open()
    try:
        yield recorder
    finally:
        await recorder.close()


@fixture()
async def stage() -> AsyncIterator[Stage]:
    """A stage with a provider and no operator; the gateway is not started yet."""
    stage = Stage(reactor)
    try:
        await stage.open_provider()
        yield stage
    finally:
        await stage.close()
