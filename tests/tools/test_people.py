from __future__ import annotations

import pytest

from tools.people import People, person_of, usual_identity


@pytest.mark.parametrize(
    ("number", "person", "identity"),
    [
        ("5511988880001", "5511988880001", "5511988880001"),
        ("551188880001", "5511988880001", "5511988880001"),
        ("+55 (31) 98888-0001", "5531988880001", "553188880001"),
        ("553188880001@s.whatsapp.net", "5531988880001", "553188880001"),
        ("551133330001", "551133330001", "551133330001"),
        ("351912345678", "351912345678", "351912345678"),
    ],
)
def test_both_forms_name_one_person(number: str, person: str, identity: str) -> None:
    assert (person_of(number), usual_identity(number)) == (person, identity)


def test_an_account_is_found_by_either_form() -> None:
    people = People()
    people.add("5531988880001")
    people.add("5541988880002", identity="5541988880002")
    assert people.identity("553188880001") == people.identity("5531988880001") == "553188880001"
    assert people.identity("554188880002") == "5541988880002"
    assert people.identity("5511988880003") is None


def test_a_share_of_everybody_else_has_an_account_and_always_the_same_ones() -> None:
    numbers = [f"55119{n:08d}" for n in range(80_000_000, 80_002_000)]
    first, second = ([People(0.3).identity(n) is not None for n in numbers] for _ in range(2))
    assert first == second
    assert 0.25 < sum(first) / len(first) < 0.35


def test_somebody_removed_has_no_account_whatever_the_share() -> None:
    people = People(1.0)
    people.remove("551188880001")
    assert people.identity("5511988880001") is None
    assert people.identity("5511988880002") is not None
