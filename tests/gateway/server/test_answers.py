"""Every refusal has a command_status, and every status a name."""

from __future__ import annotations

import pytest

from gateway.server.answers import STATUS, Refusal, status_name


def test_every_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Refusal)
    assert all(0 < status <= 0xFF for status in STATUS.values())


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal.UNKNOWN_SYSTEM_ID, 0x0F),
        (Refusal.WRONG_PASSWORD, 0x0E),
        (Refusal.TOO_MANY_BINDS, 0x0D),
        (Refusal.ADDRESS_NOT_ALLOWED, 0x0D),
        (Refusal.BANNED, 0x0D),
        (Refusal.OVER_RATE, 0x58),
        (Refusal.TEXT_GIVEN_TWICE, 0xC1),
        (Refusal.NO_PAYLOAD, 0xC3),
        (Refusal.NOT_A_TEXT, 0xC4),
        (Refusal.NO_DESTINATION_TAKEN, 0x45),
        (Refusal.CLOSING, 0x04),
    ],
)
def test_statuses_are_those_of_the_specification(refusal: Refusal, status: int) -> None:
    assert STATUS[refusal] == status


def test_statuses_have_names() -> None:
    assert [status_name(status) for status in (0x58, 0x14, 0x401)] == ["ESME_RTHROTTLED", "ESME_RMSGQFUL", "0x00000401"]
