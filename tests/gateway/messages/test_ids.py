"""Message ids: unique, short, printable and in order."""

import re
from itertools import islice

from gateway.messages.ids import Ids


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
