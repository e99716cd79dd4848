"""What is fuzzed by hand for minutes is fuzzed for moments here, without a fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import pdu
from gateway.smpp.session import Role, Session, SessionSettings
from tools import fuzz
from tools.fuzz_targets import TARGETS, Target, seeds
from tools.watched_session import WatchedSession, weight


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_its_seeds_and_nothing_at_all(name: str) -> None:
    known = seeds(name)
    assert len(known) >= 3
    for octets in (*known, b""):
        TARGETS[name](octets)


@pytest.mark.parametrize(("name", "target"), TARGETS.items())
def test_every_target_takes_anything(name: str, target: Target) -> None:
    known = st.sampled_from(seeds(name))

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=200) | known, known, st.integers(0, 60), st.binary(max_size=8))
    def run(first: bytes, second: bytes, at: int, between: bytes) -> None:
        target(first[:at] + between + second[at:])

    run()


# The watch itself


class Broken(Session):
    """A session with one thing wrong."""

    wrong = ""

    def receive(self, data: bytes, now: float) -> list[object]:  # type: ignore[override]
        events = super().receive(data, now)
        match self.wrong:
            case "silent":
                self.out.clear()
            case "twice":
                self.out = self.out * 2
            case "forgets":
                self.pending = 0
            case "answers a response":
                self.out.append(pdu.encode(pdu.EnquireLinkResp(sequence_number=99)))
            case "sleeps":
                self.deadline = lambda: float("inf")  # type: ignore[method-assign]
            case "half":
                self.out.append(b"\0\0\0\x10")
        return events  # type: ignore[return-value]


@pytest.mark.parametrize("wrong", ["silent", "twice", "forgets", "answers a response", "sleeps", "half"])
def test_a_session_that_breaks_a_promise_is_noticed(wrong: str) -> None:
    watched = WatchedSession(Role.SMSC, SessionSettings())
    watched.session = Broken(Role.SMSC, SessionSettings(), watched.now)
    watched.receive(pdu.encode(pdu.BindTransceiver(system_id="a"), 1))
    watched.answer()
    watched.session.wrong = wrong
    with pytest.raises(AssertionError):
        watched.receive(pdu.encode(pdu.EnquireLink(), 5) + pdu.encode(pdu.SubmitSm(destination_addr="1"), 6))


def test_the_weight_of_a_session_is_the_octets_it_keeps() -> None:
    session = Session(Role.SMSC, SessionSettings(), 1000.0)
    before = weight(session)
    session.receive((60_000).to_bytes(4) + bytes(50_000), 1000.0)
    assert 50_000 <= weight(session) - before <= 51_000


# The command


def test_a_finding_is_played_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "crash-1"
    path.write_bytes(b"\0\0\0\1abc")
    assert fuzz.main(["segments", "--play", str(path)]) == 0
    assert capsys.readouterr().out == "nothing happens\n"


def test_the_targets_are_listed_and_an_unknown_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["list"]) == 0
    assert all(line.split()[0] in TARGETS for line in capsys.readouterr().out.splitlines())
    (tmp_path / "x").touch()
    assert fuzz.main(["nothing", "--play", str(tmp_path / "x")]) == 2
    assert "session_server" in capsys.readouterr().err
