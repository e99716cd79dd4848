"""The model keeps every promise, and finds each mistake that is planted in it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Report, Uncertain, Unwritten
from gateway.store.turn import NEVER
from tools.model import __main__ as command
from tools.model.gateway import Gateway
from tools.model.memory import Change, Kept, Memory
from tools.model.scenarios import SMALL
from tools.model.search import Found, search
from tools.model.world import May


@pytest.mark.parametrize("name", SMALL)
def test_every_promise_is_kept(name: str) -> None:
    found = search(**SMALL[name])
    assert (found.broken, found.story) == ("", ())
    assert found.worlds > 100, "it went nowhere"


class NoRevisionCheck(Memory):
    def is_current(self, change: Change) -> bool:
        return bool(self.record) if change.expected else not self.record


class ForgetsTheDue(Memory):
    def set_due(self, due: float) -> None:
        if due < 0:
            self.due = NEVER


class ReceiptGoesWithTheGateway(Memory):
    """The receipt is not part of the change that ends the message."""

    def commit(self, change: Change) -> Any:
        done = super().commit(change)
        if change.receipt is not None and done[0] == 1:
            self.stream.pop()
            self.ends.pop()
        return done


class DropsWhatIsDue(Memory):
    """As if due.lua removed what it gives, instead of putting it off."""

    def look_at_due(self, now: float, then: float) -> bytes | None:
        return super().look_at_due(now, NEVER)


class TakesWhatIsParked(Memory):
    """As commit.lua did: the report goes with the answer."""

    def _do(self, name: str, channel: str, what: int | str) -> Report | None:
        report = super()._do(name, channel, what)
        self.parked.discard(report)  # type: ignore[arg-type]
        return report


class CountsUp(Memory):
    """Revisions as they were: one more than the one that was read, whoever makes the change."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept)
        self.last = 0

    def next_revision(self, rev: int) -> int:
        return rev + 1


class SendsBeforeTheCommit(Gateway):
    def submit(self, message: Message, straight: bool) -> None:
        super().submit(message, straight)
        self.take("zap", self.calls[-1].args[0].record)


class AnswersBeforeTheCommit(Gateway):
    def submit(self, message: Message, straight: bool) -> None:
        super().submit(message, straight)
        self.world.answer(True)


class IgnoresTheWireLog(Gateway):
    def start(self) -> None:
        super().start()
        self.before = False


class SendsAgainWhatWasNotAnswered(Gateway):
    def resolve(self, message: Message, result: AttemptResult, now: float) -> None:
        super().resolve(message, Unwritten("again") if isinstance(result, Uncertain) else result, now)


class ForgetsLostLeases(Gateway):
    """After the link was lost nobody looks for what a lease took there and never brought here."""

    def lost_answered(self, channel: str) -> None:
        pass


class NeverRecovers(Gateway):
    def recover_answered(self, channel: str) -> None:
        pass


class AcknowledgesTooEarly(Gateway):
    def report(self, report: Report, told: bool = False) -> None:
        if not told:
            self.world.reported(report)
        super().report(report, told=True)


WRITTEN = ("a: the store does accepted", "zap: writes it")
SENT = (*WRITTEN, "zap: takes it", "a: the store does result")
PARKED = (*WRITTEN, "a hears from zap of z0: delivered", "a: the store does find", "zap: takes it")


@pytest.mark.parametrize(
    ("planted", "row", "promise"),
    [
        (NoRevisionCheck, {"may": May(wishes=1), "straight": False}, "another one than its receipt said"),
        (ForgetsTheDue, {"may": May()}, "nobody will ever look"),
        (ReceiptGoesWithTheGateway, {"may": May()}, "ended without a receipt"),
        (DropsWhatIsDue, {"may": May()}, "nobody will ever look"),
        (TakesWhatIsParked, {"may": May(crashes=1), "after": PARKED}, "word of its delivery"),
        (SendsBeforeTheCommit, {"may": May()}, "nobody keeps it"),
        (AnswersBeforeTheCommit, {"may": May()}, "accepted message is gone"),
        (IgnoresTheWireLog, {"may": May(crashes=1)}, "given the text twice"),
        (SendsAgainWhatWasNotAnswered, {"may": May()}, "given the text twice"),
        (AcknowledgesTooEarly, {"may": May(reports=1, crashes=1), "after": SENT}, "word of its delivery"),
        (ForgetsLostLeases, {"may": May(cuts=1), "straight": False}, "never sent"),
        (NeverRecovers, {"may": May(crashes=1)}, "never sent"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_planted_mistake_is_found(planted: type[Any], row: dict[str, Any], promise: str) -> None:
    found = search(**row, **{"memory" if issubclass(planted, Memory) else "gateway": planted})
    assert promise in found.broken, found
    assert found.story


AT_ITS_END = (
    *WRITTEN, "time passes", "time passes", "zap: no answer", "a: the store does result", "a leases for operator",
    "a: the store does lease", "operator: writes it", "time passes", "a hears from zap of z0: delivered, by our id",
    "a: the store does find", "a: the store does report", "time passes",
)  # fmt: skip


def test_a_change_on_top_of_one_that_lost_needs_revisions_of_its_own() -> None:
    found = search(May(reports=2), memory=CountsUp, after=AT_ITS_END)
    assert found.broken == "it ended without a receipt"
    assert search(May(), after=(*AT_ITS_END, *found.story[1:-1])).broken == ""


def test_the_command_tells_what_it_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.main(["--only", "nothing happens"]) == 0
    monkeypatch.setattr(command, "search", lambda **_: Found(3, 4, "a promise", ("one step", "another")))
    assert command.main(["--only", "two nodes"]) == 1
    told = capsys.readouterr().out
    assert "every promise is kept" in told
    assert "BROKEN: a promise\n    one step\n    another\n" in told
