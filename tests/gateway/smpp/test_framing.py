"""Bytes -> frames, wherever the stream is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.errors import BadLength
from gateway.smpp.framing import Framer

MAX_PDU = 70_000


def frame(body: bytes, sequence_number: int = 1) -> bytes:
    return b"".join(n.to_bytes(4) for n in (16 + len(body), 0x15, 0, sequence_number)) + body


bodies = st.lists(st.binary(max_size=40), max_size=12)


@given(bodies, st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(contents: list[bytes], data: st.DataObject) -> None:
    frames = [frame(body) for body in contents]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    framer = Framer(MAX_PDU)
    edges = [0, *cuts, len(stream)]
    found = [got for start, end in pairwise(edges) for got in framer.feed(stream[start:end])]
    assert found == frames
    assert not framer.partial


def test_many_frames_in_one_piece_and_the_start_of_another() -> None:
    framer = Framer(MAX_PDU)
    whole = frame(b"text")
    assert framer.feed(whole * 300 + whole[:17]) == [whole] * 300
    assert framer.partial
    assert framer.partial_sequence_number == 1
    assert framer.feed(whole[17:]) == [whole]
    assert not framer.partial


def test_a_frame_of_exactly_the_largest_length_is_accepted() -> None:
    largest = frame(b"x" * (MAX_PDU - 16))
    assert Framer(MAX_PDU).feed(largest) == [largest]


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_length_below_the_header_is_reported_with_four_octets(length: int) -> None:
    framer = Framer(MAX_PDU)
    assert framer.feed(length.to_bytes(4)[:3]) == []
    with pytest.raises(BadLength) as caught:
        framer.feed(length.to_bytes(4)[3:])
    assert caught.value.sequence_number == 0


@pytest.mark.parametrize("length", [MAX_PDU + 1, 0x7FFFFFFF, 0xFFFFFFFF, int.from_bytes(b"GET ")])
def test_a_length_above_the_largest_is_reported_with_its_header_and_no_body(length: int) -> None:
    framer = Framer(MAX_PDU)
    header = length.to_bytes(4) + bytes(8) + (77).to_bytes(4)
    assert framer.feed(header[:15]) == []
    with pytest.raises(BadLength) as caught:
        framer.feed(header[15:])
    assert caught.value.sequence_number == 77


def test_frames_before_a_bad_length_are_not_lost() -> None:
    good = [frame(b"a", 1), frame(b"b", 2)]
    with pytest.raises(BadLength) as caught:
        Framer(MAX_PDU).feed(b"".join(good) + bytes(4))
    assert caught.value.frames == good


def test_the_sequence_number_of_an_incomplete_header_is_zero() -> None:
    framer = Framer(MAX_PDU)
    framer.feed(frame(b"body", 9)[:15])
    assert framer.partial_sequence_number == 0
    framer.feed(frame(b"body", 9)[15:17])
    assert framer.partial_sequence_number == 9
