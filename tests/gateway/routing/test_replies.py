"""The table of replies, and how it is made of a configuration."""

from __future__ import annotations

from config.schema import Config
from gateway.configured import replies_of
from gateway.routing.replies import ReplyRule, named


def test_the_first_rule_of_its_kind_that_fits_counts() -> None:
    first, second, third = ReplyRule("a", ("1",)), ReplyRule("b", ("1", "2")), ReplyRule("c", always=True)
    rules = (first, second, third)
    assert named(rules, "1", "operator", always=False) is first
    assert named(rules, "2", "operator", always=False) is second
    assert named(rules, "", "zap", always=False) is None
    assert named(rules, "", "zap", always=True) is third
    assert named((), "1", "operator", always=True) is None


def test_an_account_stands_in_the_table_with_an_address_of_its_own() -> None:
    accounts = [
        {"system_id": "billing", "password": "x", "sources": ["28940", "POMBO"], "default_source": "POMBO"},
        {"system_id": "shop", "password": "x", "sources": ["27000"]},
        {"system_id": "crm", "password": "x"},
    ]
    replies = [
        {"to": "28940", "channel": ["operator"], "account": "billing", "always": True},
        {"account": "shop"},
        {"channel": "zap", "account": "crm"},
    ]
    config = Config.model_validate({"smpp_server": {"accounts": accounts}, "replies": replies})
    assert replies_of(config) == (
        ReplyRule("billing", ("28940",), ("operator",), True, "POMBO"),
        ReplyRule("shop", address="27000"),
        ReplyRule("crm", channels=("zap",)),
    )
