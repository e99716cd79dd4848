"""The verdict on every command_status an operator may answer with."""

import pytest

from gateway.smpp.constants import CommandStatus
from gateway.smpp.status import Verdict, classify, is_known, needs_attention, retry_limit

PERMANENT = [0x01, 0x0B, 0x0C, 0x42, 0x65, 0x66]
TEMPORARY = [0x08, 0x14, 0x64, 0x102]
UNCLEAR = [0x45, 0xFE, 0xFF, 0x11, 0x13, 0x67]
LINK = [0x04, 0x05, 0x0D, 0x0E, 0x0F, 0x53]
CONFIGURATION = [
    *(0x02, 0x03, 0x06, 0x07, 0x0A, 0x15, 0x33, 0x34, 0x40, 0x43, 0x44, 0x48, 0x49, 0x50, 0x51, 0x54, 0x55),
    *(0x61, 0x62, 0x63, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0x100, 0x101, 0x103, 0x104, 0x105, 0x106),
    *range(0x107, 0x113),
]
RESERVED_OR_VENDOR = [0x09, 0x10, 0x12, 0x16, 0x32, 0x35, 0x3F, 0x41, 0x68, 0xBF, 0xC5, 0x400, 0x4FF, 0x500, 0xFFFFFFFF]


@pytest.mark.parametrize(
    ("statuses", "verdict", "limit"),
    [
        (PERMANENT, Verdict.PERMANENT, 0),
        (CONFIGURATION, Verdict.CONFIGURATION, 0),
        (TEMPORARY, Verdict.TEMPORARY, None),
        (UNCLEAR, Verdict.TEMPORARY, 2),
        (RESERVED_OR_VENDOR, Verdict.TEMPORARY, 2),
        ([0x58], Verdict.THROTTLED, None),
        (LINK, Verdict.LINK, None),
    ],
)
def test_every_status_has_its_verdict_and_retry_limit(statuses: list[int], verdict: Verdict, limit: int | None) -> None:
    for status in statuses:
        assert (classify(status), retry_limit(status)) == (verdict, limit), hex(status)


def test_the_table_above_names_every_status_of_the_specification() -> None:
    named = {0, 0x58, *PERMANENT, *TEMPORARY, *UNCLEAR, *LINK, *CONFIGURATION}
    assert named == {int(status) for status in CommandStatus}
    assert all(is_known(status) for status in named)
    assert not any(is_known(status) for status in RESERVED_OR_VENDOR)


@pytest.mark.parametrize(
    ("reason", "verdict", "limit"),
    [
        (0, Verdict.TEMPORARY, None),
        (1, Verdict.PERMANENT, 0),
        (2, Verdict.PERMANENT, 0),
        (3, Verdict.TEMPORARY, None),
        (None, Verdict.TEMPORARY, 2),
        (99, Verdict.TEMPORARY, 2),
    ],
)
def test_the_reason_of_a_delivery_failure_decides(reason: int | None, verdict: Verdict, limit: int | None) -> None:
    assert (classify(0xFE, reason), retry_limit(0xFE, reason)) == (verdict, limit)


def test_success_is_not_an_error_to_be_judged() -> None:
    with pytest.raises(ValueError, match="ESME_ROK"):
        classify(0)


def test_wrong_credentials_and_wrong_settings_call_for_a_person() -> None:
    assert [status for status in LINK if needs_attention(status)] == [0x0E, 0x0F, 0x53]
    assert all(needs_attention(status) for status in CONFIGURATION)
    assert not any(needs_attention(status) for status in [*PERMANENT, *TEMPORARY, *UNCLEAR, 0x58, 0x401])
