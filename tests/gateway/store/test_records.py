"""The packed form of messages, events and what waits for an ESME."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.message import FORMAT, Attempted, Message, Mo, Part, Receipt
from gateway.messages.states import State
from gateway.store import records
from gateway.store.records import Event, FeedEvent, NewerRecord, Writer
from tests.gateway.samples import START, accepted, attempt, message

FULL = accepted(
    user_data=bytes(range(256)),
    tlvs=((0x0204, b"\0\7"), (0x020C, b"\xff\xfe")),
    part=Part("billing:28940:5511987654321:udh8:7:3", 3, 2),
    attempts=[
        attempt("zap", Attempted.FAILED, reason="no_account", code="131026", end=State.UNDELIVERABLE),
        attempt("operator", Attempted.SENT, remote_id="0e99", tries=2, acked=True, due_at=START + 9.5),
    ],
    state=State.ENROUTE,
    parts=("a", "b"),
    joined_in="j",
    released=True,
    cost="0.16",
    rev=70_000,
    in_hand=True,
)


@pytest.mark.parametrize("original", [message(), accepted(), FULL], ids=["submitted", "accepted", "full"])
def test_a_message_comes_back_as_it_was(original: Message) -> None:
    assert records.unpack(records.pack(original)) == original


@given(
    st.builds(
        message,
        source=st.text(max_size=20),
        dest=st.text(max_size=20),
        user_data=st.binary(max_size=300),
        tlvs=st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=4).map(tuple),
        schedule_at=st.floats(0, 4e9),
        rev=st.integers(0, 2**32 - 1),
    )
)
def test_any_octets_and_any_text_survive(original: Message) -> None:
    assert records.unpack(records.pack(original)) == original


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({"rev": 1}, b"\0\0\0\1\0\0\0"),
        ({"rev": 258, "in_hand": True}, b"\0\0\1\2\0\1\0"),
        ({"rev": 1, "state": State.DELIVERED}, b"\0\0\0\1\1\0\0"),
        ({"rev": 1, "state": State.ENROUTE, "attempts": [attempt("zap"), attempt("operator")]}, b"\0\0\0\1\0\0\2"),
        ({"rev": 1, "attempts": [attempt("zap")] * 300}, b"\0\0\0\1\0\0\xff"),
    ],
)
def test_the_header_says_what_scripts_need(fields: dict[str, Any], header: bytes) -> None:
    assert records.pack(accepted(**fields))[:8] == header + bytes((FORMAT,))


def test_the_header_is_the_truth_for_revision_and_hand() -> None:
    record = bytearray(records.pack(accepted(rev=1)))
    record[0:4], record[5] = b"\0\0\0\5", 1
    read = records.unpack(bytes(record))
    assert (read.rev, read.in_hand) == (5, True)


def test_a_record_of_a_newer_version_is_refused() -> None:
    record = bytearray(records.pack(accepted(rev=1)))
    record[7] = FORMAT + 1
    with pytest.raises(NewerRecord, match=rf"format {FORMAT + 1}.*reads up to {FORMAT}"):
        records.unpack(bytes(record))


def test_a_record_of_an_older_minor_version_lacks_its_last_fields_and_gets_their_defaults() -> None:
    fields = msgspec.msgpack.decode(records.pack(accepted(rev=1))[8:])
    shorter = records.pack(accepted(rev=1))[:8] + msgspec.msgpack.encode(fields[:-4])
    assert records.unpack(shorter) == accepted(rev=1)


def test_events_come_back_with_what_was_left_out_of_them() -> None:
    steps = [(START, "receipt_sent"), (START + 1, "receipt_answered", "", "x" * 300)]
    assert records.unpack_events(records.pack_events(steps)) == [Event(*step) for step in steps]
    assert records.unpack_events(b"") == []


def test_a_feed_event_is_a_map_without_what_is_empty() -> None:
    packed = records.encode(FeedEvent("m1", START, "sent", "billing", "+55 11 98765-4321", "gw1", channel="zap"))
    assert msgspec.msgpack.decode(packed) == {
        "id": "m1",
        "at": START,
        "event": "sent",
        "account": "billing",
        "to": "+55 11 98765-4321",
        "node": "gw1",
        "channel": "zap",
    }


RECEIPT = Receipt("m1", "5511987654321", 1, 1, "28940", 0, 1, "", State.DELIVERED, 0, START, START + 9, "zap", b"\0\7")
REPLY = Mo("billing", "5511987654321", 1, 1, "28940", 0, 1, 0, 8, "olá".encode("utf-16-be"))


@pytest.mark.parametrize("item", [RECEIPT, REPLY], ids=["receipt", "reply"])
def test_what_waits_for_an_esme_comes_back_as_it_was(item: Receipt | Mo) -> None:
    assert records.unpack_waiting(records.pack_waiting(item)) == item


def test_an_entry_with_neither_receipt_nor_reply_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        records.unpack_waiting(records.encode(records.Waiting()))


def test_a_writer_comes_back_as_it_was() -> None:
    writer = Writer("m1", "billing", "+55 11 98765-4321", 1, 1, "28940", 0, 1)
    assert records.decode_writer(records.encode(writer)) == writer


@pytest.mark.parametrize("blob", [b"", b"abc", bytes(range(256)), b"x" * 70_000])
def test_octets_are_a_string_to_the_scripts_unpacker(blob: bytes) -> None:
    packed = msgspec.msgpack.encode([records.octets(blob)])
    assert packed[:6] == b"\x91\xdb" + len(blob).to_bytes(4, "big")
    assert packed[6:] == blob
