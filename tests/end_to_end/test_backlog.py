"""The short form of `tools/backlog.py`: a start with much to do is quick, in order and at its pace (R13)."""

from __future__ import annotations

import pytest
from twisted.internet import reactor

from tests.end_to_end.in_reactor import in_reactor
from tools.backlog import Run, measure


@pytest.mark.slow
@in_reactor
async def test_a_gateway_with_a_backlog_is_ready_soon_and_works_it_off_in_order() -> None:
    run, told = Run(reactor, messages=3000, receipts=3000), list[str]()
    try:
        good = await measure(run, told.append)
    finally:
        await run.close()
    assert good, "\n".join(told)
