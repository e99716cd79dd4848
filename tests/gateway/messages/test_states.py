"""Which final states an ESME hears of, and how they are spelled."""

from __future__ import annotations

import pytest

from gateway.messages.states import FINAL, STAT, State, wants_receipt
from gateway.smpp import receipt_text

D, E, X, U, N, R = (
    State.DELIVERED,
    State.EXPIRED,
    State.DELETED,
    State.UNDELIVERABLE,
    State.UNKNOWN,
    State.REJECTED,
)

# Columns: registered_delivery bits 1-0 are 0 (none), 1 (both), 2 (failure), 3 (success); SMPP 3.4, 5.2.17
MATRIX = {
    D: (False, True, False, True),
    E: (False, True, True, False),
    X: (False, True, True, False),
    U: (False, True, True, False),
    N: (False, True, True, False),
    R: (False, True, True, False),
}
OTHER_BITS = (0x00, 0x04, 0x08, 0x0C, 0x10, 0x1C, 0xE0)  # SME acknowledgements, intermediate notification, reserved


def test_the_matrix_has_every_final_state() -> None:
    assert set(MATRIX) == FINAL


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("asked", range(4))
def test_a_receipt_goes_out_when_the_two_low_bits_ask_for_this_end(state: State, asked: int) -> None:
    for others in OTHER_BITS:
        assert wants_receipt(asked | others, state) is MATRIX[state][asked]


@pytest.mark.parametrize(
    ("state", "number", "stat"),
    [
        (State.SCHEDULED, 0, "ENROUTE"),
        (State.ENROUTE, 1, "ENROUTE"),
        (State.DELIVERED, 2, "DELIVRD"),
        (State.EXPIRED, 3, "EXPIRED"),
        (State.DELETED, 4, "DELETED"),
        (State.UNDELIVERABLE, 5, "UNDELIV"),
        (State.ACCEPTED, 6, "ACCEPTD"),
        (State.UNKNOWN, 7, "UNKNOWN"),
        (State.REJECTED, 8, "REJECTD"),
    ],
)
def test_states_have_the_numbers_and_letters_of_the_specification(state: State, number: int, stat: str) -> None:
    assert (int(state), STAT[state]) == (number, stat)


def test_every_state_can_be_written_in_a_receipt() -> None:
    assert set(STAT) == set(State)


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("err", [0, 1, 34, 999])
def test_only_a_delivered_message_has_error_zero_whatever_was_noted(state: State, err: int) -> None:
    written = receipt_text.write("m1", STAT[state], err, 0.0, 0.0, state is State.DELIVERED)
    code = 0 if state is State.DELIVERED else err
    assert f"stat:{STAT[state]} err:{code:03d} text:".encode() in written
    assert (b"dlvrd:001" in written) is (state is State.DELIVERED)
