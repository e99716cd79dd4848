"""Telephone numbers as people and systems write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.address import mask, ninth_digit_forms, parse_destination, same_person

AREAS = {
    1: "123456789", 2: "12478", 3: "1234578", 4: "123456789", 5: "1345", 6: "123456789", 7: "134579", 8: "123456789",
    9: "123456789",
}  # fmt: skip
DDDS = [f"{first}{second}" for first, seconds in AREAS.items() for second in seconds]
ONE_MOBILE = [
    "{ddd}9{number}",
    "{ddd}{number}",
    "55{ddd}9{number}",
    "55{ddd}{number}",
    "+55{ddd}9{number}",
    "+55 ({ddd}) 9{number}",
    "+55 (0) {ddd} 9{number}",
    "0055{ddd}9{number}",
    "0055{ddd}{number}",
    "0{ddd}9{number}",
    "0{ddd}{number}",
    "0 15 {ddd} 9{number}",
    "041{ddd}{number}",
    "(0xx{ddd}) {number}",
    "+55 0{ddd} 9{number}",
]


@pytest.mark.parametrize("ton", [0, 1, 2])
@pytest.mark.parametrize("form", ONE_MOBILE)
def test_every_form_of_a_mobile_is_read_as_thirteen_digits_in_every_area(form: str, ton: int) -> None:
    for ddd in DDDS:
        for number in ("60000000", "77000123", "87654321", "99887766"):
            written = form.format(ddd=ddd, number=number)
            assert parse_destination(written, "BR", ton) == f"55{ddd}9{number}", written


@pytest.mark.parametrize(
    ("written", "msisdn"),
    [
        ("(49) 99988-0088", "5549999880088"),
        ("+55 49 9 9988-0088", "5549999880088"),
        ("04999988-0088", "5549999880088"),
        ("49 8998-8008", "5549989988008"),
        ("55 99123-4567", "5555991234567"),  # area code 55
        ("5555991234567", "5555991234567"),
        ("555591234567", "5555991234567"),
        ("(55) 3222-1234", "555532221234"),
        ("49.3361.1234", "554933611234"),  # a fixed line is a number
        ("554933611234", "554933611234"),
        ("4477000123", "5544977000123"),
        ("11\u00a098765\u20114321", "5511987654321"),
        ("5511900000051", "5511900000051"),
        ("5511912345678", "5511912345678"),
        ("+1 415 555 0100", "14155550100"),
        ("0014155550100", "14155550100"),
        ("+351 912 345 678", "351912345678"),
        ("+44 (20) 7946-0958", "442079460958"),
    ],
)
def test_numbers_are_read_from_brazil(written: str, msisdn: str) -> None:
    assert parse_destination(written, "BR") == msisdn
    assert parse_destination(written, "BR", 1) == msisdn


@pytest.mark.parametrize(
    "written",
    [
        "abc", "", "12", "+", "00", "55119x8765432", "28940", "100", "POMBO",
        "99988-0088", "987654321",  # no area code
        "20 99999-0000", "5520999990000", "+5520999990000", "1012345678",  # no such area
        "(49) 9998-800", "5511 9876-543", "55119876543210",  # bad length
        "11887654321", "5511887654321", "1112345678",  # no such subscriber
        "+5511", "00551112", "++5511987654321", "5511987654321+", "11 98765 4321 ramal 2",
        "１１９８７６５４３２１", "351912345678", "+999123456789", "+1234", "0" * 20, "9" * 40,
    ],
)  # fmt: skip
def test_what_is_no_number_is_unreadable(written: str) -> None:
    assert parse_destination(written, "BR") is None


def test_the_national_reading_wins_over_a_ton_that_says_international() -> None:
    assert parse_destination("31987654321", "BR", 1) == "5531987654321"


def test_ton_international_lets_a_valid_foreign_number_pass_without_a_prefix() -> None:
    assert parse_destination("351912345678", "BR", 1) == "351912345678"
    assert parse_destination("28940", "BR", 1) is None
    assert parse_destination("20999990000", "BR", 1) is None


@pytest.mark.parametrize(
    ("written", "country", "ton", "msisdn"),
    [
        ("07700 900123", "GB", 0, "447700900123"),
        ("+44 7700 900123", "GB", 0, "447700900123"),
        ("447700900123", "GB", 1, "447700900123"),
        ("912 345 678", "PT", 0, "351912345678"),
        ("+55 11 98765-4321", "PT", 0, "5511987654321"),
        ("0055 11 8765-4321", "PT", 0, "5511987654321"),
        ("5511987654321", "PT", 1, "5511987654321"),
        ("0115511987654321", "US", 0, "5511987654321"),
        ("(415) 555-0100", "US", 0, "14155550100"),
    ],
)
def test_national_forms_are_read_by_the_configured_country(written: str, country: str, ton: int, msisdn: str) -> None:
    assert parse_destination(written, country, ton) == msisdn


@pytest.mark.parametrize("written", ["", "abc", "28940", "+5511", "1-800-FLOWERS", "12"])
def test_other_countries_have_unreadable_numbers_too(written: str) -> None:
    assert parse_destination(written, "US") is None


@given(st.text(max_size=24), st.sampled_from(["BR", "PT", "US"]), st.integers(0, 7))
def test_reading_never_raises_and_gives_digits_or_nothing(written: str, country: str, ton: int) -> None:
    msisdn = parse_destination(written, country, ton)
    assert msisdn is None or (msisdn.isascii() and msisdn.isdigit() and 7 <= len(msisdn) <= 15)


@given(st.text("0123456789", max_size=16), st.sampled_from(["", "+", "00", "0", "+55", "55"]))
def test_what_was_read_as_brazilian_reads_as_itself(digits: str, prefix: str) -> None:
    msisdn = parse_destination(prefix + digits, "BR")
    if msisdn and msisdn.startswith("55"):
        assert parse_destination(msisdn, "BR") == same_person(msisdn) == msisdn
        assert parse_destination("+" + msisdn, "BR") == msisdn


def test_both_forms_of_a_mobile_are_one_person_in_every_area() -> None:
    for ddd in DDDS:
        with_ninth, without = f"55{ddd}987654321", f"55{ddd}87654321"
        for form in (with_ninth, without, "+" + without, f"{without}@s.whatsapp.net", f"{without}:12@s.whatsapp.net"):
            assert same_person(form) == with_ninth
            assert ninth_digit_forms(form) == (with_ninth, without)


@pytest.mark.parametrize(
    ("number", "key"),
    [
        ("551133334444", "551133334444"),  # a fixed line never gets a nine
        ("+551133334444", "551133334444"),
        ("14155550100", "14155550100"),
        ("14155550100@c.us", "14155550100"),
        ("123456789012345@lid", "123456789012345@lid"),
        ("120363000000000000@g.us", "120363000000000000@g.us"),
        ("status@broadcast", "status@broadcast"),
        ("552087654321", "552087654321"),  # no such area
        ("", ""),
    ],
)
def test_other_numbers_are_their_own_key(number: str, key: str) -> None:
    assert same_person(number) == key
    assert ninth_digit_forms(number) == (key,)


def test_a_mobile_whose_short_form_would_be_a_fixed_line_has_one_form() -> None:
    assert ninth_digit_forms("5511932221234") == ("5511932221234",)
    assert same_person("551132221234") != same_person("5511932221234")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("5511987654321", "***4321"),
        ("+55 (11) 98765-4321", "***4321"),
        ("5511987654321:7@s.whatsapp.net", "***4321"),
        ("28940", "***8940"),
        ("1234", "***"),
        ("POMBO", "***"),
        ("", "***"),
    ],
)
def test_logs_show_the_last_four_digits(number: str, shown: str) -> None:
    assert mask(number) == shown
