"""What the demo puts on the screen: each journey when it is complete, those under way below it, tables at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tools import journey
from tools.demo_cast import CAST, Part
from tools.demo_client import Receipt
from tools.terminal import Terminal, pad, table
from tools.units import epoch, money

KINDS = {"zap": "whatsapp", "operator": "smsc"}
TITLE_COLUMNS, NUMBER_COLUMNS = 28, 15
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
STAT_STYLES = {"DELIVRD": ("green", "bold")}


class Run(msgspec.Struct):
    """One message of the cast on its way. ids: one per part that was accepted."""

    key: int
    part: Part
    expected: int = 1  # submit_sm the client makes of it
    ids: list[str] = []
    refusals: list[int] = []  # command_status of the parts that were not accepted
    messages: dict[str, dict[str, Any]] = {}  # id -> as the node tells it
    receipts: list[Receipt] = []
    submitted_at: float = 0.0
    ended_at: float = 0.0

    @property
    def complete(self) -> bool:
        """Every part has its receipt and the node says it is over."""
        arrived = {receipt.message_id for receipt in self.receipts}
        return (
            len(self.ids) == self.expected
            and arrived >= set(self.ids)
            and all(self.messages.get(i, {}).get("state") in journey.FINAL for i in self.ids)
        )

    @property
    def channel(self) -> str:
        """The channel that decided, as the node says."""
        return str(self.messages.get(self.ids[0], {}).get("channel") or "") if self.ids else ""

    @property
    def state(self) -> str:
        """The node's word for where it stands."""
        return str(self.messages.get(self.ids[0], {}).get("state") or "") if self.ids else ""

    def events(self) -> list[dict[str, Any]]:
        """The events of its parts in time order; of a text in several parts each kind of step once."""
        told = [event for message in list(self.messages.values()) for event in message["events"]]
        told.sort(key=lambda event: epoch(event["at"]))
        if len(self.messages) < 2:
            return told
        seen: set[tuple[str, str]] = set()
        out = []
        for event in told:
            mark = (str(event["event"]), str(event.get("channel") or ""))
            if mark not in seen:
                seen.add(mark)
                out.append(event)
        return out

    def trouble(self) -> str:
        """What did not go as the cast says; "" when all did."""
        if self.refusals:
            return f"refused with status 0x{self.refusals[0]:02X}"
        counts = Counter(receipt.message_id for receipt in self.receipts)
        missing = self.expected - len(counts.keys() & set(self.ids))
        if missing:
            return f"{missing} receipt{'s' if missing > 1 else ''} missing"
        if any(n > 1 for n in counts.values()):
            return "a receipt came more than once"
        wrong = {receipt.stat for receipt in self.receipts} - {self.part.ends}
        if wrong:
            return f"{', '.join(sorted(wrong))} instead of {self.part.ends}"
        if any(receipt.source != self.part.to for receipt in self.receipts):
            return "a receipt names another number than the client wrote"
        if self.channel != self.part.by:
            return f"decided by {self.channel or 'no channel'} instead of {self.part.by}"
        return ""


class Show:
    """Draws runs on a terminal."""

    def __init__(self, terminal: Terminal, runs: Sequence[Run]) -> None:
        self.terminal = terminal
        self._runs = runs
        self._frame = 0

    def title(self) -> None:
        """Column heads above the journeys."""
        case, number = pad("case", TITLE_COLUMNS), pad("number", NUMBER_COLUMNS)
        head = f"  #  {pad('seconds', 7, right=True)}  {case}{number}  journey"
        self.terminal.line(self.terminal.paint(head, "dim"))

    def row(self, run: Run, now: float) -> str:
        """One journey, as far as it has come."""
        paint = self.terminal.paint
        took = (run.ended_at or now) - run.submitted_at if run.submitted_at else 0.0
        left = (
            f" {pad(str(run.key), 2, right=True)}  {pad(f'{took:.2f}', 7, right=True)}  "
            f"{pad(run.part.title, TITLE_COLUMNS)}{pad(run.part.to, NUMBER_COLUMNS)}  "
        )
        steps = journey.steps_of(run.events(), KINDS, self.terminal)
        stats = Counter(receipt.stat for receipt in run.receipts)
        for stat, count in stats.items():
            times = f" ×{count}" if count > 1 else ""
            steps.append(paint(f"receipt {stat}{times}", *STAT_STYLES.get(stat, ("red", "bold"))))
        narrow = len(left) + 40 > self.terminal.width
        if narrow:
            return left.rstrip() + "\n     " + journey.joined(steps, self.terminal, 5, 7)
        return left + journey.joined(steps, self.terminal, len(left), len(left))

    def done(self, run: Run) -> None:
        """Print a complete journey for good."""
        trouble = run.trouble()
        mark = self.terminal.paint(f"  <- {trouble}", "red", "bold") if trouble else ""
        self.terminal.line(self.row(run, run.ended_at) + mark)

    def progress(self, now: float) -> None:
        """Draw what is under way, on a terminal that can."""
        if not self.terminal.live:
            return
        self._frame += 1
        going = [run for run in self._runs if run.submitted_at and not run.ended_at]
        receipts = sum(len(run.receipts) for run in self._runs)
        submitted = sum(1 for run in self._runs if run.submitted_at)
        wheel = SPINNER[self._frame % len(SPINNER)] if self.terminal.unicode else "|/-\\"[self._frame % 4]
        lines = [line for run in going for line in self.row(run, now).split("\n")]
        rest = f" {wheel}  {submitted} of {len(self._runs)} messages submitted, {receipts} receipts so far"
        self.terminal.region([*lines, self.terminal.paint(rest, "dim")])

    def tables(self, costs: dict[str, Decimal], segments: dict[str, int], currency: str, price: Decimal) -> None:
        """By channel, by final state, receipts, money. segments: submitted and sent by SMS."""
        paint, line = self.terminal.paint, self.terminal.line
        line()
        rows = []
        for channel, word in (("zap", "WhatsApp"), ("operator", "SMS")):
            decided = [run for run in self._runs if run.channel == channel]
            sms = segments["sms"] if channel == "operator" else 0
            rows.append((word, str(len(decided)), str(sms), money(costs.get(channel, Decimal(0)), currency)))
        rows.append(
            ("total", str(len(self._runs)), str(segments["sms"]), money(sum(costs.values(), Decimal(0)), currency))
        )
        for place, text in enumerate(
            table(("CHANNEL", "MESSAGES", "SMS SEGMENTS", "COST"), rows, frozenset({1, 2, 3}))
        ):
            line("  " + (paint(text, "bold") if place == 0 else text))
        line()
        states = Counter(run.state or "no answer" for run in self._runs)
        state_rows = [(state, str(count)) for state, count in states.most_common()]
        for place, text in enumerate(table(("FINAL STATE", "MESSAGES"), state_rows, frozenset({1}))):
            line("  " + (paint(text, "bold") if place == 0 else text))
        line()
        expected = sum(run.expected for run in self._runs)
        once = sum(1 for run in self._runs for n in _counts(run).values() if n == 1)
        twice = sum(1 for run in self._runs for n in _counts(run).values() if n > 1)
        all_sms = price * segments["submitted"]
        cost = sum(costs.values(), Decimal(0))
        share = f" ({(all_sms - cost) / all_sms:.0%})" if all_sms else ""
        good = once == expected and not twice
        summary = [
            ("receipts expected", str(expected)),
            ("receipts arrived exactly once", paint(str(once), "green" if good else "red", "bold")),
            ("receipts arrived more than once", str(twice)),
            ("cost", money(cost, currency)),
            (f"the same {segments['submitted']} segments all by SMS", money(all_sms, currency)),
            ("saved", paint(money(all_sms - cost, currency) + share, "green", "bold")),
        ]
        for text in table(("", ""), summary)[1:]:
            line("  " + text)
        line()

    def verdict(self, strangers: int) -> bool:
        """The last line; True when everything went as the cast says. strangers: receipts for ids nobody was given."""
        troubled = [run for run in self._runs if run.trouble()]
        if not troubled and not strangers:
            self.terminal.line(self.terminal.paint("Every receipt arrived, exactly once.", "green", "bold"))
            return True
        for run in troubled:
            self.terminal.line(self.terminal.paint(f"{run.key:2} {run.part.title}: {run.trouble()}", "red"))
        if strangers:
            self.terminal.line(self.terminal.paint(f"{strangers} receipts for ids the client was never given", "red"))
        return False


def _counts(run: Run) -> Counter[str]:
    return Counter(receipt.message_id for receipt in run.receipts)


def cast_runs() -> list[Run]:
    """A run for each message of the cast, numbered from 1."""
    return [Run(key, part) for key, part in enumerate(CAST, start=1)]
