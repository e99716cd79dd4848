"""Libraries that are not ours bind, submit and get their receipts: Python, Node.js and Perl."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import Stage
from tests.interop.recorder import Recorder
from tests.interop.walk import walk

pytestmark = pytest.mark.interop
CLIENTS = Path(__file__).parent / "clients"
Walk = Callable[..., Coroutine[Any, Any, None]]


@pytest.fixture
def walks(running: Stage, wire: Recorder, tshark_if_there: str | None) -> Walk:
    """What a client has to get through: a coroutine function of its command."""
    return partial(walk, running, wire, tshark_if_there)


@pytest.mark.parametrize("mode", ["transceiver", "pair"])
@in_reactor
async def test_smpplib_walks_through(walks: Walk, mode: str) -> None:
    await walks([sys.executable, str(CLIENTS / "smpplib_client.py")], mode=mode)


@in_reactor
async def test_aiosmpplib_walks_through(walks: Walk, aiosmpplib: str) -> None:
    await walks([sys.executable, str(CLIENTS / "aiosmpplib_client.py")])


@in_reactor
async def test_the_npm_package_smpp_walks_through(walks: Walk, node_environ: dict[str, str]) -> None:
    await walks(["node", str(CLIENTS / "node_smpp.js")], node_environ)


@in_reactor
async def test_net_smpp_of_perl_walks_through(walks: Walk, perl: str) -> None:
    await walks([perl, str(CLIENTS / "net_smpp.pl")])
