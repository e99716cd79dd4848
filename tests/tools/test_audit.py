"""What is said of what pip-audit found, and what a bill of materials is reduced to."""

from __future__ import annotations

from typing import Any

import pytest

from tools.audit import KNOWN, installed_with, of_ours, verdict

CLEAN = {"name": "twisted", "version": "26.4.0", "vulns": []}
BAD = {"name": "requests", "version": "2.19.0",
       "vulns": [{"id": "PYSEC-2018-28", "fix_versions": ["2.20.0"], "aliases": ["CVE-2018-18074"]}]}  # fmt: skip
UNKNOWN = {"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited: six (1.17.0)"}


def test_it_is_about_what_pombo_needs_and_not_about_what_its_tests_need() -> None:
    needed = installed_with()
    assert {"twisted", "requests", "urllib3", "pyopenssl", "msgspec", "service-identity"} <= needed.keys()
    assert not {"pombo", "pytest", "mypy", "hypothesis"} & needed.keys()


@pytest.mark.parametrize(
    ("reports", "said", "status"),
    [
        ([{"dependencies": [CLEAN, UNKNOWN]}], "1 packages, no known vulnerability; not known there: six", 0),
        ([{"dependencies": [UNKNOWN]}, {"dependencies": [CLEAN]}], "no known vulnerability; not known there: six", 0),
        ([{"dependencies": [CLEAN, BAD]}], "requests 2.19.0: PYSEC-2018-28, mended in 2.20.0", KNOWN),
        ([{"dependencies": [UNKNOWN]}], "NOT AUDITED", 0),  # an index without that data answers so, and all looks green
        ([], "NOT AUDITED", 0),
    ],
)
def test_only_what_is_known_to_be_vulnerable_fails(reports: list[dict[str, Any]], said: str, status: int) -> None:
    lines, came = verdict(reports)
    assert came == status
    assert said in lines[0]


def test_the_bill_has_pombo_and_what_it_needs() -> None:
    bill = {
        "bomFormat": "CycloneDX",
        "components": [{"name": n, "bom-ref": f"{n}==1"} for n in ("pombo", "Twisted", "pytest")],
        "dependencies": [{"ref": "pombo==1", "dependsOn": ["Twisted==1", "pytest==1"]}, {"ref": "pytest==1"}],
    }
    assert of_ours(bill, ["twisted"]) == {
        "bomFormat": "CycloneDX",
        "components": [{"name": n, "bom-ref": f"{n}==1"} for n in ("pombo", "Twisted")],
        "dependencies": [{"ref": "pombo==1", "dependsOn": ["Twisted==1"]}],
    }
