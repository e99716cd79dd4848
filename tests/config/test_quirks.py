"""Habits of old clients: what names there are, and which do not go together."""

from __future__ import annotations

import pytest

from config.quirks import PRESETS, SWITCHES, contradiction, named, switches


def test_a_preset_stands_for_switches_that_go_together() -> None:
    for name, stands_for in PRESETS.items():
        assert len(stands_for) > 1 and set(stands_for) <= set(SWITCHES) and name not in SWITCHES
        assert contradiction([name]) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], set()),
        (["receipt_seconds"], {"receipt_seconds"}),
        (["smpp33"], {"no_tlvs", "hex_ids"}),
        (["smpp33", "hex_ids", "receipt_seconds"], {"no_tlvs", "hex_ids", "receipt_seconds"}),
        (["nothing of the kind"], set()),
    ],
)
def test_presets_and_switches_may_be_mixed(names: list[str], expected: set[str]) -> None:
    assert switches(names) == expected


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["hex_ids", "decimal_ids"], "hex_ids and decimal_ids"),
        (["smpp33", "decimal_ids"], "hex_ids and decimal_ids"),
        (["smpp33", "data_sm"], "no_tlvs and data_sm"),
        (["decimal_receipt_ids"], "decimal_receipt_ids without hex_ids"),
        (["decimal_receipt_ids", "smpp33"], None),
        (list(SWITCHES)[:1], None),
    ],
)
def test_what_cannot_be_done_at_once_is_told(names: list[str], says: str | None) -> None:
    found = contradiction(names)
    assert (found is None) if says is None else (found is not None and says in found)


@pytest.mark.parametrize(
    ("value", "says"),
    [("smpp3", "did you mean smpp33?"), ("x", "there is smpp33, "), (33, "the number 33"), (None, "nothing")],
)
def test_an_unknown_name_is_refused_with_those_there_are(value: object, says: str) -> None:
    with pytest.raises(ValueError, match="not a quirk") as wrong:
        named(value)
    assert says in str(wrong.value)
