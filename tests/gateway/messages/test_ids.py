"""Message ids: unique, short, printable and in order."""

import re
from itertools import islice

from gateway.messages.ids import Ids, as_decimal, as_hex, kept_decimal, kept_hex, value_of_hex


def take(ids: Ids, count: int) -> list[str]:
    return [ids.next() for _ in range(count)]


def test_ids_are_short_printable_and_ascending() -> None:
    ids = take(Ids(1_790_000_000.7, 3), 5000)
    assert all(re.fullmatch(r"[0-9a-z]{1,20}", each) for each in ids)
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_a_later_start_sorts_after_an_earlier_one_whatever_its_incarnation() -> None:
    assert max(take(Ids(1_790_000_000, 900), 2000)) < Ids(1_790_000_001, 1).next()


def test_two_incarnations_of_one_second_share_no_id() -> None:
    first, second = (take(Ids(1_790_000_000, incarnation), 3000) for incarnation in (7, 8))
    assert not set(first) & set(second)
    assert max(first) < min(second)


def test_an_incarnation_beyond_its_field_keeps_the_length() -> None:
    assert len(Ids(1_790_000_000, 36**4 + 5).next()) == len(Ids(1_790_000_000, 5).next()) == 18


def test_a_clock_before_the_epoch_still_gives_ids() -> None:
    assert len(set(islice(iter(Ids(0.0, 1).next, None), 10))) == 10


# Short ones


def test_a_hexadecimal_id_has_eight_digits_and_one_that_is_no_decimal_digit() -> None:
    numbers = (*range(1, 5000), 0x99999999, 0x9999999A, 0xFFFFFFFF)
    written = [one for one in map(as_hex, numbers) if one]
    assert all(re.fullmatch(r"(?=.*[A-F])[0-9A-F]{8}", each) for each in written)
    assert as_hex(0x12345678) == "" and as_hex(0x1234567A) == "1234567A"


def test_past_four_billion_an_id_grows_and_stays_its_own() -> None:
    assert as_hex(0x10000000A) == "10000000A" and as_decimal(2**32) == "4294967296"
    assert kept_hex("10000000a") == kept_hex(str(0x10000000A)) == "10000000A"


def test_no_number_gives_an_id_that_another_has() -> None:
    numbers = (*range(1, 3000), *range(99_999_000, 100_001_000), *range(0x99999900, 0x9999AAAA, 7))
    every = [form(number) for number in numbers for form in (as_hex, as_decimal)]
    given = [one for one in every if one]
    assert len(set(given)) == len(given)


def test_a_hexadecimal_id_is_found_by_its_value_and_in_any_case() -> None:
    for number in (10, 0xA1B2, 0x7FFFFFFF, 0xFFFFFFFF):
        message_id = as_hex(number)
        told = value_of_hex(message_id)
        assert told == str(number)
        spellings = (told, told.zfill(10), message_id, message_id.lower(), message_id.lstrip("0"))
        assert {kept_hex(one) for one in spellings} == {message_id}


def test_a_decimal_id_is_found_with_zeros_before_it() -> None:
    assert {kept_decimal(one) for one in ("7", "0000000007")} == {"7"}
    assert kept_decimal("0") == "0" and kept_decimal("") == "" and kept_hex("") == ""
