"""The text of receipts: ours to the letter, and the operators' variations."""

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import receipt_text
from gateway.smpp.receipt_text import ReceiptText, parse, write

SUBMITTED = 1_709_208_000.0  # 2024-02-29 12:00 UTC
NOON = datetime(2024, 2, 29, 12, 0)


@pytest.fixture
def brasilia() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "<-03>3"
    time.tzset()
    receipt_text._minute.cache_clear()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()
    receipt_text._minute.cache_clear()


@pytest.mark.usefixtures("brasilia")
def test_a_receipt_is_written_to_the_letter_in_local_time() -> None:
    assert write("20qdq8000500000000", "DELIVRD", 0, SUBMITTED, SUBMITTED + 61, True) == (
        b"id:20qdq8000500000000 sub:001 dlvrd:001 submit date:2402290900 done date:2402290901 "
        b"stat:DELIVRD err:000 text:"
    )
    assert write("7", "UNDELIV", 27, SUBMITTED, SUBMITTED + 59.9, False) == (
        b"id:7 sub:001 dlvrd:000 submit date:2402290900 done date:2402290900 stat:UNDELIV err:027 text:"
    )


def test_a_delivered_message_never_shows_an_error() -> None:
    assert b" err:000 " in write("7", "DELIVRD", 99, SUBMITTED, SUBMITTED, True)


@given(st.from_regex(r"[0-9a-z]{1,20}", fullmatch=True), st.sampled_from(["DELIVRD", "EXPIRED", "REJECTD"]))
def test_what_we_write_we_can_read(message_id: str, stat: str) -> None:
    read = parse(write(message_id, stat, 5, SUBMITTED, SUBMITTED, stat == "DELIVRD"))
    assert read is not None
    assert (read.message_id, read.stat, read.err) == (message_id, stat, "000" if stat == "DELIVRD" else "005")
    assert read.submit_date is not None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"id:1001 sub:001 dlvrd:001 submit date:2402291200 done date:2402291201 stat:DELIVRD err:000 text:hi",
         ReceiptText("1001", "DELIVRD", 2, "000", NOON, datetime(2024, 2, 29, 12, 1))),
        (b"id:1 stat:ENROUTE err:000", ReceiptText("1", "ENROUTE", 1, "000")),
        (b"id:AB-1f stat:undeliv", ReceiptText("AB-1f", "UNDELIV", 5)),
        (b"ID:9 STAT:Rejected ERR:0x1F Text:id:8 stat:DELIVRD", ReceiptText("9", "REJECTED", 8, "0x1F")),
        (b"stat:DELIVRD;id:\"42\";err:E12;text:", ReceiptText("42", "DELIVRD", 2, "E12")),
        (b"id:42,sub:1,dlvrd:1,submit_date:20240229120000,done_date:240229120130,stat:DELIVERED,err:0",
         ReceiptText("42", "DELIVERED", 2, "0", NOON, datetime(2024, 2, 29, 12, 1, 30))),
        (b"id:42\tsub:001\tSubmit Date:202402291200\tdonedate:0000000000\nstat:FAILED\r\nerr:12345 reason:x\0",
         ReceiptText("42", "FAILED", 5, "12345", NOON)),
        (b"id: 42  submit date:  done date: stat: EXPIRED err: text: stat:DELIVRD", ReceiptText("42", "EXPIRED", 3)),
        (b"id:0042 stat:SOMETHING err:000", ReceiptText("0042", "SOMETHING", None, "000")),
        (b"stat:ACCEPTD", ReceiptText(None, "ACCEPTD", 6)),
        (b"id:7\0", ReceiptText("7")),
        (b"id:7 submit date:2402301200 done date:9999999999 stat:DELIVRD err:000 text:",
         ReceiptText("7", "DELIVRD", 2, "000")),
        ("id:77 stat:DELIVRD err:000 text:olá".encode("utf-16-be"), ReceiptText("77", "DELIVRD", 2, "000")),
        (b"id:1 id:2 stat:DELIVRD stat:EXPIRED", ReceiptText("1", "DELIVRD", 2)),
        ("id:1 stat:DELIVRD err:000 text:ação".encode("latin-1"), ReceiptText("1", "DELIVRD", 2, "000")),
    ],
)  # fmt: skip
def test_the_operators_variations_are_read(body: bytes, expected: ReceiptText) -> None:
    assert parse(body) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"text:id:1 stat:DELIVRD", b"sub:001 dlvrd:001 text:", b"valid:1 status:ok", b"id: stat: text:x",
     "Olá, sua fatura venceu".encode("utf-16-be"), b"\x05\x00\x03\x01\x02\x01"],
)  # fmt: skip
def test_what_names_neither_id_nor_state_is_no_receipt(body: bytes) -> None:
    assert parse(body) is None


@given(st.binary(max_size=200))
def test_reading_never_raises(body: bytes) -> None:
    parse(body)
    parse(b"id:1 submit date:" + body + b" stat:DELIVRD")
