"""The demo's cast and what it prints; the whole performance is `make demo`."""

from __future__ import annotations

import io
from decimal import Decimal

import smpplib.gsm

from tests.tools.test_journey import DELIVERED, FELL_BACK
from tools.demo_cast import CAST
from tools.demo_client import Receipt
from tools.demo_show import Run, Show, cast_runs
from tools.terminal import Terminal


def run(key: int = 1, stat: str = "DELIVRD", channel: str = "zap", copies: int = 1) -> Run:
    """A journey of the cast's first message that is over."""
    one = Run(key, CAST[0], ids=["m1"], submitted_at=10.0, ended_at=10.5)
    events = DELIVERED if channel == "zap" else FELL_BACK
    one.messages = {"m1": {"id": "m1", "state": "delivered", "channel": channel, "events": events}}
    one.receipts = [Receipt("m1", stat, "000", CAST[0].to)] * copies
    return one


def terminal() -> tuple[Terminal, io.BytesIO]:
    octets = io.BytesIO()
    return Terminal(io.TextIOWrapper(octets, "utf-8"), {}), octets


def test_the_cast_has_what_the_demo_promises() -> None:
    parts = [len(smpplib.gsm.make_parts(part.text)[0]) for part in CAST]
    assert len(CAST) >= 24
    assert sorted(parts)[-2:] == [1, 3], "one text of three parts"
    assert {part.by for part in CAST} == {"zap", "operator"}
    assert {"never", "fails:500ms", "lookup_error"} <= {part.ack for part in CAST}
    assert any(not part.to.isdigit() for part in CAST) and any(len(part.to) == 12 and part.identity for part in CAST)


def test_every_number_is_used_once() -> None:
    assert len({part.to for part in CAST}) == len(CAST) == len(cast_runs())


def test_a_run_is_complete_with_its_final_state_and_all_its_receipts() -> None:
    assert run().complete and run().trouble() == ""
    waiting = run()
    waiting.receipts = []
    assert not waiting.complete and waiting.trouble() == "1 receipt missing"
    moving = run()
    moving.messages["m1"]["state"] = "enroute"
    assert not moving.complete


def test_what_does_not_go_as_written_is_trouble() -> None:
    assert run(copies=2).trouble() == "a receipt came more than once"
    assert run(stat="UNDELIV").trouble() == "UNDELIV instead of DELIVRD"
    assert run(channel="operator").trouble() == "decided by operator instead of zap"
    refused = Run(1, CAST[0], refusals=[0x58])
    assert refused.trouble() == "refused with status 0x58"
    other = run()
    other.receipts = [Receipt("m1", "DELIVRD", "000", "551188880001")]
    assert "another number" in other.trouble()


def test_a_journey_is_one_aligned_line_where_nothing_is_a_terminal() -> None:
    screen, octets = terminal()
    show = Show(screen, [run()])
    show.title()
    show.done(run())
    head, row = octets.getvalue().decode().splitlines()
    assert "\x1b" not in head + row
    assert row.index("accepted") == head.index("journey")
    assert row.endswith("accepted → lookup active → WhatsApp sent → delivered → receipt DELIVRD")


def test_the_tables_add_up_and_the_verdict_follows() -> None:
    screen, octets = terminal()
    show = Show(screen, [run(1), run(2)])
    show.tables({"operator": Decimal("0.08")}, {"submitted": 2, "sms": 1}, "BRL", Decimal("0.08"))
    assert show.verdict(strangers=0)
    text = octets.getvalue().decode()
    assert "receipts arrived exactly once    2" in text
    assert "saved                          R$ 0,08 (50%)" in text or "R$ 0,08 (50%)" in text
    assert text.rstrip().endswith("Every receipt arrived, exactly once.")


def test_a_missing_receipt_or_a_strange_one_fails_the_demo() -> None:
    screen, octets = terminal()
    waiting = run()
    waiting.receipts = []
    assert not Show(screen, [waiting]).verdict(strangers=0)
    assert not Show(screen, [run()]).verdict(strangers=1)
    assert "1 receipt missing" in octets.getvalue().decode()
