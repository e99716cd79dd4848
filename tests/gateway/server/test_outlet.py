"""What waits for a peer that reads slowly."""

from __future__ import annotations

import math

from gateway.server.outlet import CHUNK_OCTETS, MAX_OCTETS, SLOW_OCTETS, Outlet


class Pipe:
    """A transport as Twisted makes them: says "enough" above 64 KiB, and asks for more when all of that is gone."""

    def __init__(self) -> None:
        self.buffer = b""
        self.taken = b""
        self.producer: Outlet | None = None
        self.told = False

    def registerProducer(self, producer: Outlet, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > 65_536 and not self.told and self.producer:
            self.told = True
            self.producer.pauseProducing()

    def read(self) -> None:
        """The peer takes everything that is on the way."""
        self.taken += self.buffer
        self.buffer = b""
        if self.told and self.producer:
            self.told = False
            self.producer.resumeProducing()

    def loseConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


class Bench:
    def __init__(self) -> None:
        self.pipe, self.now, self.drained = Pipe(), 100.0, 0
        self.outlet = Outlet(self.pipe, lambda: self.now, self._drained)

    def _drained(self) -> None:
        self.drained += 1


def test_a_peer_that_reads_gets_everything_at_once() -> None:
    bench = Bench()
    for _ in range(100):
        bench.outlet.write(b"x" * 60_000)
        bench.pipe.read()
    assert len(bench.pipe.taken) == 6_000_000
    assert bench.outlet.unsent == 0 and bench.outlet.deadline() == math.inf


def test_what_a_slow_peer_leaves_is_kept_in_order_and_in_chunks() -> None:
    bench = Bench()
    octets = bytes(range(256)) * 1200
    bench.outlet.write(octets[:100_000])
    for start in range(100_000, len(octets), 1000):
        bench.outlet.write(octets[start : start + 1000])
    assert bench.outlet.unsent == len(octets) - 100_000
    while bench.pipe.buffer:
        assert len(bench.pipe.buffer) <= 2 * CHUNK_OCTETS
        bench.pipe.read()
    assert bench.pipe.taken == octets and bench.outlet.unsent == 0


def test_slow_begins_above_256_kib_and_its_end_is_told_once() -> None:
    bench = Bench()
    bench.outlet.write(b"x" * 70_000)
    bench.outlet.write(b"x" * SLOW_OCTETS)
    assert not bench.outlet.slow
    bench.outlet.write(b"x")
    assert bench.outlet.slow and bench.drained == 0
    while bench.pipe.buffer:
        bench.pipe.read()
    assert not bench.outlet.slow and bench.drained == 1


def test_a_minute_without_progress_is_stuck() -> None:
    bench = Bench()
    bench.outlet.write(b"x" * 70_000)
    assert bench.outlet.deadline() == 160.0
    assert not bench.outlet.stuck(159.9) and bench.outlet.stuck(160.0)


def test_progress_begins_the_minute_anew() -> None:
    bench = Bench()
    bench.outlet.write(b"x" * 70_000)
    bench.outlet.write(b"x" * 200_000)
    bench.now = 150.0
    bench.pipe.read()
    assert bench.outlet.deadline() == 210.0


def test_more_than_a_mebibyte_is_stuck_at_once() -> None:
    bench = Bench()
    bench.outlet.write(b"x" * 70_000)
    bench.outlet.write(b"x" * MAX_OCTETS)
    assert not bench.outlet.stuck(bench.now)
    bench.outlet.write(b"x")
    assert bench.outlet.stuck(bench.now)


def test_close_hands_over_the_rest() -> None:
    bench = Bench()
    bench.outlet.write(b"x" * 70_000)
    bench.outlet.write(b"y" * 300_000)
    bench.outlet.close()
    assert len(bench.pipe.buffer) == 370_000 and bench.pipe.producer is None


def test_nothing_is_kept_once_the_connection_is_gone() -> None:
    bench = Bench()
    bench.outlet.write(b"x" * 70_000)
    bench.outlet.write(b"y" * 300_000)
    bench.outlet.stopProducing()
    assert bench.outlet.unsent == 0
    bench.outlet.close()


def test_what_is_written_is_with_the_peer_in_the_same_turn_where_the_transport_can_do_that() -> None:
    class Eager(Pipe):
        doWrite = Pipe.read

    pipe = Eager()
    Outlet(pipe, lambda: 100.0, lambda: None).write(b"an answer")
    assert (pipe.taken, pipe.buffer) == (b"an answer", b"")
