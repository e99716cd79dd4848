"""Reading configurations: what a good one becomes, and what is said about a bad one."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.check import check
from config.countries import COUNTRIES
from config.effects import guessable, without_effect, without_fallback
from config.load import ConfigErrors, load

BASE = """\
smpp_server:
  accounts:
    - system_id: billing
      password: hunter2secret
smsc_client:
  - name: operator
    connect: tcp:127.0.0.1:2776
    system_id: pombo
    password: hunter2secret
bridge:
  - name: zap
    provider: evolution
    url: http://127.0.0.1:8080
    api_key: hunter2secret
    instance: main
routes:
  - name: default
    channels: [zap, operator]
    fallback_after: 10m
"""

CLOUD = """\
bridge:
  - name: zap
    provider: cloud_api
    url: https://graph.facebook.com/v25.0
    api_key: hunter2secret
    instance: '1'
    app_secret: hunter2secret
"""


RESOLD = """\
bridge:
  - name: zap
    provider: cloud_api
    url: https://waba-v2.360dialog.io
    api_key: hunter2secret
    instance: '1'
    webhook_secret: hunter2secret
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "pombo.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_absent_keys_have_the_documented_defaults(tmp_path: Path) -> None:
    config = load(written(tmp_path, BASE), {})
    account, operator, zap, route = (
        config.smpp_server.accounts[0],
        config.smsc_client[0],
        config.bridge[0],
        config.routes[0],
    )
    assert (config.currency, config.country, config.store.max_messages) == ("BRL", "BR", 2_000_000)
    assert config.node
    assert (account.throughput, account.receipts_kept, account.dedupe, account.sources) == (500.0, 604_800.0, 0.0, ())
    assert (operator.window, operator.throughput, operator.source, operator.price) == (50, 100.0, None, Decimal(0))
    assert (operator.reconnect.initial, operator.reconnect.max) == (1.0, 60.0)
    assert (zap.lookup.budget, zap.lookup.when_unknown, zap.health.min_acks) == (1.0, "skip", 0.5)
    assert (route.fallback_after, route.success, route.priority, route.when) == (600.0, "delivered", "normal", None)
    assert (config.http.admin_token, config.log.format, config.log.redact) == (None, "console", True)


def test_quantities_are_numbers_in_seconds(tmp_path: Path) -> None:
    text = """
smpp_server:
  enquire_link: 300ms
  response_timeout: 1.5s
  inactivity_timeout: 0
  default_validity: 36h
  accounts:
    - {system_id: a, password: x, throughput: 200/m, receipts_kept: 7d, allow_from: [10.0.0.0/8, "::1"]}
"""
    server = load(written(tmp_path, text), {}).smpp_server
    assert (server.enquire_link, server.response_timeout, server.inactivity_timeout) == (0.3, 1.5, 0.0)
    assert server.default_validity == 129_600.0
    assert server.accounts[0].throughput == pytest.approx(3.3333333)
    assert server.accounts[0].receipts_kept == 604_800.0
    assert server.accounts[0].allow_from == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))


def test_one_text_stands_for_a_list_of_one_and_prefixes_lose_their_plus(tmp_path: Path) -> None:
    more = BASE.replace(
        "  - name: default\n",
        "  - name: otp\n    when: {account: billing, to: '+5511', from: '28940', days: [Mon, sun],"
        " hours: '22:00-06:00', data_coding: 8}\n    channels: operator\n  - name: default\n",
    )
    route = load(written(tmp_path, more), {}).routes[0]
    assert route.channels == ("operator",)
    when = route.when
    assert when is not None
    assert (when.account, when.to, when.from_, when.days) == (("billing",), ("5511",), ("28940",), ("mon", "sun"))
    assert (when.hours, when.data_coding) == ((1320, 360), (8,))


def test_numbers_of_the_wire_may_be_written_as_operators_write_them(tmp_path: Path) -> None:
    text = more(
        SMSC, "    status: {0x0B: retry, 88: fail, '0x401': next_channel}\n    pass_tlvs: [0x1403, 5120, 0x1403]"
    )
    operator = load(written(tmp_path, text), {}).smsc_client[0]
    assert operator.status == {11: "retry", 88: "fail", 1025: "next_channel"}
    assert operator.pass_tlvs == (0x1403, 0x1400)
    bare = load(written(tmp_path, BASE), {}).smsc_client[0]
    assert (bare.status, bare.pass_tlvs) == ({}, None)
    assert load(written(tmp_path, more(SMSC, "    pass_tlvs: []")), {}).smsc_client[0].pass_tlvs == ()


def test_replies_of_one_kind_do_not_hide_those_of_the_other(tmp_path: Path) -> None:
    text = BASE + "replies:\n  - {account: billing}\n  - {to: '28940', account: billing, always: true}\n"
    config = load(written(tmp_path, text), {})
    assert [(one.to, one.always) for one in config.replies] == [((), False), (("28940",), True)]


def test_values_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("  from-file\n")
    text = BASE.replace("password: hunter2secret", "password: ${file:pw}", 1)
    text = text.replace("api_key: hunter2secret", "api_key: pre-${KEY}-${KEY}\n    throughput: ${RATE}")
    text += "store:\n  events: ${EVENTS}\nlog: {redact: '${REDACT}'}\n"
    text += f"http: {{admin_token: '${{file:{tmp_path}/pw}}'}}\n"
    environ = {"KEY": "12", "RATE": "50/s", "EVENTS": "5000", "REDACT": "false"}
    config = load(written(tmp_path, text), environ)
    assert config.smpp_server.accounts[0].password is not None
    assert config.smpp_server.accounts[0].password.get_secret_value() == "from-file"
    assert config.bridge[0].api_key.get_secret_value() == "pre-12-12"
    assert (config.bridge[0].throughput, config.store.events, config.log.redact) == (50.0, 5000, False)
    assert config.http.admin_token is not None
    assert config.http.admin_token.get_secret_value() == "from-file"


def test_what_is_filled_in_is_not_filled_in_again(tmp_path: Path) -> None:
    text = BASE.replace("password: hunter2secret", "password: ${A}", 1)
    account = load(written(tmp_path, text), {"A": "${B}", "B": "x"}).smpp_server.accounts[0]
    assert account.password is not None
    assert account.password.get_secret_value() == "${B}"


def test_aliases_work_and_equal_files_give_equal_configurations(tmp_path: Path) -> None:
    text = BASE.replace("password: hunter2secret", "password: &pw hunter2secret", 1)
    text = text.replace("    password: hunter2secret", "    password: *pw")
    assert load(written(tmp_path, text), {}) == load(written(tmp_path, BASE), {})


def test_settings_are_frozen(tmp_path: Path) -> None:
    config = load(written(tmp_path, BASE), {})
    with pytest.raises(ValueError, match="frozen"):
        setattr(config, "node", "other")  # noqa: B010  (so that mypy lets it through)


def test_an_unknown_when_unknown_is_send_on_cloud_api_only(tmp_path: Path) -> None:
    text = CLOUD + "  - {name: b, provider: waha, url: 'http://h', api_key: k, instance: d, lookup: {deadline: 1s}}\n"
    cloud, waha = load(written(tmp_path, text), {}).bridge
    assert (cloud.lookup.when_unknown, waha.lookup.when_unknown, waha.lookup.deadline) == ("send", "skip", 1.0)


def at(old: str, new: str, base: str = BASE) -> str:
    """The good file with one place changed."""
    assert old in base, old
    return base.replace(old, new, 1)


ACCOUNT = "      password: hunter2secret\n"
SMSC = "    connect: tcp:127.0.0.1:2776\n"
ZAP = "    instance: main\n"
ROUTE = "    fallback_after: 10m\n"
TEMPLATE = "    templates:\n      - {name: t, language: pt_BR, match: 'a (?P<x>.)(?P<y>.)', body: BODY}\n"


def more(place: str, line: str) -> str:
    """The good file with a line added after a place."""
    return at(place, place + line + "\n")


# what the file is, the line of the error, the key it names, words that it says
BROKEN: list[tuple[str, str | bytes, int, str, str]] = [
    # the file as such
    ("empty", "", 1, "file", "is empty"),
    ("comments only", "# nothing\n\n", 1, "file", "is empty"),
    ("a list", "- a\n- b\n", 1, "file", "is not a mapping"),
    ("a word", "\nhunter2secret\n", 2, "file", "is not a mapping"),
    ("tabs", "store:\n\turl: embedded\n", 2, "file", "tab"),
    ("binary", b"\x7fELF\x02\x01\x01\x00\xff\xfe", 1, "file", "UTF-8"),
    ("control characters", b"node: gw1\ncurrency: \x01\n", 2, "file", "control character"),
    ("latin-1", "node: gw1\ncurrency: ção\n".encode("latin-1"), 2, "file", "UTF-8"),
    ("open quote", "node: 'gw1\nstore: {}\n", 1, "file", "a quote without its partner"),
    ("open bracket", "log: [hunter2secret,\n", 2, "file", "is not YAML"),
    ("open bracket above", "log: [a\nstore: {}\n", 2, "file", "expected ',' or ']' to what line 1 opens"),
    ("no space behind a key", at("password: ", "password:"), 4, "file", 'a key without ": "'),
    ("a reference in braces", "log: {level: ${LEVEL}}\n", 1, "file", "put it in quotes"),
    ("two documents", "node: a\n---\nnode: b\n", 2, "file", "more than one document"),
    ("a colon in a value", at("hunter2secret", "hunter2secret: x"), 4, "file", "put the value in quotes"),
    ("an alias by accident", at("hunter2secret", "*hunter2secret"), 4, "file", "begins with *"),
    ("an at sign by accident", at("hunter2secret", "@hunter2secret"), 4, "file", "put the value in quotes"),
    ("a tag by accident", at("hunter2secret", "!hunter2secret x"), 4, "smpp_server.accounts[0].password", "YAML tag"),
    ("a python tag", "node: !!python/name:os.system x\n", 1, "node", "YAML tag"),
    ("endless", "store: &a\n  url: *a\n", 2, "store.url", "repeats itself"),
    ("a merge", "store:\n  <<: {url: embedded}\n", 2, "store", "merge"),
    ("a list as a key", "store:\n  ? [a]\n  : b\n", 2, "store", "plain words"),
    # keys
    (
        "no space behind a key in braces",
        BASE + "log: {level:hunter2secret}\n",
        20,
        "log.level...",
        "lacks the space",
    ),
    ("unknown at the top", BASE + "nodes: x\n", 20, "nodes", "did you mean node?"),
    ("unknown in an account", more(ACCOUNT, "      max_bind: 3"), 5, "smpp_server.accounts[0].max_bind", "max_binds?"),
    ("an unknown quirk", more(ACCOUNT, "      quirks: [smpp34]"), 5, "smpp_server.accounts[0].quirks[0]", "smpp33?"),
    (
        "quirks that contradict each other",
        more(ACCOUNT, "      quirks: [smpp33, decimal_ids]"),
        5,
        "smpp_server.accounts[0].quirks",
        "an id is written in one way",
    ),
    (
        "no time zone",
        more(ACCOUNT, "      time_zone: Brasilia"),
        5,
        "smpp_server.accounts[0].time_zone",
        "America/Sao_Paulo",
    ),
    ("unknown with dashes", more(SMSC, "    system-type: x"), 8, "smsc_client[0].system-type", "system_type?"),
    ("unknown in lookup", more(ZAP, "    lookup: {dedline: 1s}"), 16, "bridge[0].lookup.dedline", "deadline?"),
    ("a key of another section", BASE + "retention: 2h\n", 20, "retention", "belongs under store"),
    ("nothing like it", BASE + "zzz: 1\n", 20, "zzz", "known here: node, currency"),
    ("given twice", BASE + "routes: []\n", 20, "routes", "twice, first on line 16"),
    ("given twice inside", more(SMSC, "    connect: x"), 8, "smsc_client[0].connect", "twice, first on line 7"),
    ("the attribute's name", more(ROUTE, "    when: {from_: ['1']}"), 20, "routes[0].when.from_", "did you mean from?"),
    ("missing name", at("name: operator", "bind: transceiver"), 6, "smsc_client[0].name", "is missing"),
    ("missing url", at("    url: http://127.0.0.1:8080\n", ""), 11, "bridge[0].url", "is missing"),
    ("missing channels", at("    channels: [zap, operator]\n", ""), 17, "routes[0].channels", "is missing"),
    # types
    ("text for a section", BASE + "store: hunter2secret\n", 20, "store", "expected a mapping, got text"),
    ("nothing for a section", BASE + "store:\n", 20, "store", "expected a mapping, got nothing"),
    (
        "a mapping for a list",
        at("bridge:\n  - name", "bridge:\n    name"),
        10,
        "bridge",
        "expected a list, got a mapping",
    ),
    (
        "text in a list of mappings",
        BASE.replace("bridge:\n", "bridge:\n  - x\n"),
        11,
        "bridge[0]",
        "expected a mapping",
    ),
    ("a number for text", BASE + "node: 12\n", 20, "node", "put it in quotes"),
    ("a truth for text", BASE + "country: NO\n", 20, "country", "put it in quotes"),
    ("text for a number", more(ACCOUNT, "      window: many"), 5, "smpp_server.accounts[0].window", "whole number"),
    (
        "quotes around a number",
        more(ACCOUNT, "      window: '5'"),
        5,
        "smpp_server.accounts[0].window",
        "without quotes",
    ),
    (
        "an alias of what does not fit",
        at("name: operator", "name: &here operator").replace(ZAP, ZAP + "    throughput: *here\n"),
        16,
        "bridge[0].throughput",
        "expected a rate",
    ),
    ("a fraction", more(ACCOUNT, "      window: 1.5"), 5, "smpp_server.accounts[0].window", "whole number"),
    ("out of range", more(ACCOUNT, "      window: 0"), 5, "smpp_server.accounts[0].window", "from 1 to"),
    ("text for a truth", BASE + "log: {redact: 'yes'}\n", 20, "log.redact", "true or false"),
    ("another choice", BASE + "log: {level: warning}\n", 20, "log.level", "did you mean warn?"),
    ("a choice of another kind", BASE + "log: {format: 3}\n", 20, "log.format", "write console or json"),
    ("a numeric password", at("hunter2secret", "20251234"), 4, "smpp_server.accounts[0].password", "got a number; put"),
    ("a list as password", at("hunter2secret", "[hunter2secret]"), 4, "smpp_server.accounts[0].password", "a list"),
    ("an empty password", at("hunter2secret", '""'), 4, "smpp_server.accounts[0].password", "is empty"),
    ("a truth as key", at("api_key: hunter2secret", "api_key: yes"), 14, "bridge[0].api_key", "put it in quotes"),
    # quantities
    ("no unit", BASE + "store: {retention: 48}\n", 20, "store.retention", "without a unit"),
    ("another unit", BASE + "store: {retention: 2w}\n", 20, "store.retention", "such as 300ms"),
    ("zero time", BASE + "smpp_server: {}\n", 20, "smpp_server", "twice"),
    ("zero", at("10m", "0s"), 19, "routes[0].fallback_after", "more than zero"),
    ("a negative time", at("10m", "-10m"), 19, "routes[0].fallback_after", "such as 300ms"),
    ("a bare rate", more(ZAP, "    throughput: 20"), 16, "bridge[0].throughput", "such as 50/s"),
    ("a rate per day", more(ZAP, "    throughput: 20/d"), 16, "bridge[0].throughput", "such as 50/s"),
    ("no rate at all", more(ZAP, "    throughput: 0/s"), 16, "bridge[0].throughput", "more than zero"),
    ("money without quotes", more(ZAP, "    price: 0.08"), 16, "bridge[0].price", "decimal in quotes"),
    ("money with a comma", more(ZAP, "    price: '0,08'"), 16, "bridge[0].price", "decimal in quotes"),
    ("negative money", more(ZAP, "    price: '-1'"), 16, "bridge[0].price", "decimal in quotes"),
    ("a share in per cent", more(ZAP, "    health: {min_acks: 50}"), 16, "bridge[0].health.min_acks", "from 0 to 1"),
    # addresses and names
    (
        "a port that is none",
        at("127.0.0.1:2776", "127.0.0.1:smpp"),
        7,
        "smsc_client[0].connect",
        "port is not a number",
    ),
    ("no port", at("tcp:127.0.0.1:2776", "tcp:127.0.0.1"), 7, "smsc_client[0].connect", "lacks its port"),
    ("no kind", at("tcp:127.0.0.1:2776", "10.0.0.1:2776"), 7, "smsc_client[0].connect", "tcp:10.0.0.5:2775"),
    ("an odd argument", at("1:2776", "1:2776:window=1"), 7, "smsc_client[0].connect", "no argument 'window'"),
    ("a host with blanks", at("127.0.0.1:2776", "a b:2776"), 7, "smsc_client[0].connect", "host name"),
    ("listening nowhere", BASE + "http: {listen: []}\n", 20, "http.listen", "at least one"),
    ("listening on text", BASE + "http: {listen: ['8081']}\n", 20, "http.listen[0]", "not an endpoint"),
    ("a large port", BASE + "http: {listen: ['tcp:80811']}\n", 20, "http.listen[0]", "65535"),
    ("TLS without a key", BASE + "http: {listen: ['ssl:1']}\n", 20, "http.listen[0]", "privateKey"),
    (
        "TLS, no such file",
        BASE + "http: {listen: ['ssl:1:privateKey=/no/x']}\n",
        20,
        "http.listen[0]",
        "cannot be read",
    ),
    ("one port twice", BASE + "http: {listen: ['tcp:5', 'tcp:5']}\n", 20, "http.listen[1]", "http.listen[0]"),
    ("another store", BASE + "store: {url: mysql://hunter2secret}\n", 20, "store.url", "write embedded, redis://"),
    (
        "replicas of the embedded store",
        BASE + "store: {url: embedded, replicas: 1}\n",
        20,
        "store.replicas",
        "has no replicas",
    ),
    ("too many replicas", BASE + "store: {url: 'redis://h', replicas: 11}\n", 20, "store.replicas", "10"),
    ("a group without a name", BASE + "store: {url: 'sentinel://a,b'}\n", 20, "store.url", "name of the group"),
    ("a store's bad port", BASE + "store: {url: 'redis://:hunter2secret@h:x'}\n", 20, "store.url", "host and port"),
    ("a relative socket", BASE + "store: {url: 'unix://run/s'}\n", 20, "store.url", "absolute path"),
    ("a store's bad database", BASE + "store: {url: 'redis://h/one'}\n", 20, "store.url", "database"),
    ("a URL without http", at("http://127.0.0.1:8080", "127.0.0.1:8080"), 13, "bridge[0].url", "http or https"),
    ("a URL with a query", at("0.1:8080", "0.1:8080/?key=hunter2secret"), 13, "bridge[0].url", "query"),
    (
        "a host with a mask",
        more(ACCOUNT, "      allow_from: [127.0.0.1/8]"),
        5,
        "smpp_server.accounts[0].allow_from[0]",
        "write 127.0.0.0/8",
    ),
    (
        "no network",
        more(ACCOUNT, "      allow_from: [office]"),
        5,
        "smpp_server.accounts[0].allow_from[0]",
        "10.0.0.0/8",
    ),
    ("a long system_id", at("billing", "billing-of-the-provider"), 3, "smpp_server.accounts[0].system_id", "1 to 15"),
    ("a channel's odd name", at("name: zap", "name: zap/1"), 11, "bridge[0].name", "letters, digits"),
    ("no such country", BASE + "country: XX\n", 20, "country", "such as BR"),
    ("no currency", BASE + "currency: R$\n", 20, "currency", "such as BRL"),
    # references
    (
        "a missing variable",
        at("hunter2secret", "${NOT_SET}"),
        4,
        "smpp_server.accounts[0].password",
        "NOT_SET is not set",
    ),
    ("a missing file", at("hunter2secret", "${file:/no/such}"), 4, "smpp_server.accounts[0].password", "/no/such"),
    ("a bad reference", at("hunter2secret", "${a b}"), 4, "smpp_server.accounts[0].password", "write ${NAME}"),
    ("an open reference", at("hunter2secret", "${NAME"), 4, "smpp_server.accounts[0].password", "without its }"),
    ("an empty variable", at("hunter2secret", "${EMPTY}"), 4, "smpp_server.accounts[0].password", "is empty"),
    (
        "a bad value from outside",
        more(ACCOUNT, "      window: ${SECRET}"),
        5,
        "smpp_server.accounts[0].window",
        "the value of ${SECRET}",
    ),
    # between keys
    ("a password too long", at("hunter2secret", "x" * 65), 4, "smpp_server.accounts[0].password", "a shorter one"),
    ("no password", at(ACCOUNT, ""), 3, "smpp_server.accounts[0].password", "pombo hash"),
    (
        "two passwords",
        more(ACCOUNT, "      password_hash: hunter2secret"),
        5,
        "smpp_server.accounts[0].password_hash",
        "keep one",
    ),
    ("a bad hash", at("password: ", "password_hash: "), 4, "smpp_server.accounts[0].password_hash", "pombo hash"),
    (
        "two accounts of one name",
        more(ACCOUNT, "    - {system_id: billing, password: x}"),
        5,
        "smpp_server.accounts[1].system_id",
        "another account",
    ),
    (
        "one name on both sides",
        at("name: zap", "name: operator"),
        11,
        "bridge[0].name",
        "another channel has this name (smsc_client[0].name, line 6)",
    ),
    (
        "two routes of one name",
        more(ROUTE, "  - {name: default, when: {to: ['55']}, channels: [zap]}"),
        20,
        "routes[1].name",
        "another route",
    ),
    (
        "a dangling channel",
        at("[zap, operator]", "[zap, operater]"),
        18,
        "routes[0].channels[1]",
        "did you mean operator?",
    ),
    ("a channel twice", at("[zap, operator]", "[zap, zap]"), 18, "routes[0].channels[1]", "twice"),
    (
        "a dangling account",
        more(ROUTE, "    when: {account: [biling]}"),
        20,
        "routes[0].when.account[0]",
        "did you mean billing?",
    ),
    ("no fallback_after", at(ROUTE, ""), 17, "routes[0].fallback_after", "more than one channel"),
    (
        "a route behind one that takes all",
        more(ROUTE, "  - {name: b, when: {to: ['55']}, channels: [zap]}"),
        20,
        "routes[1]",
        "never reached, because default (line 17)",
    ),
    (
        "cloud_api without app_secret",
        at("    app_secret: hunter2secret\n", "", CLOUD),
        2,
        "bridge[0].app_secret",
        "cloud_api needs it",
    ),
    ("cloud_api without a version", at("/v25.0", "", CLOUD), 4, "bridge[0].url", "v25.0"),
    (
        "360dialog without a key for its webhooks",
        at("graph.facebook.com/v25.0", "waba-v2.360dialog.io", CLOUD),
        2,
        "bridge[0].webhook_secret",
        "?key=",
    ),
    (
        "a host that only looks like 360dialog's",
        at("graph.facebook.com/v25.0", "not360dialog.io", CLOUD),
        4,
        "bridge[0].url",
        "v25.0",
    ),
    (
        "reconnect upside down",
        more(SMSC, "    reconnect: {initial: 5m}"),
        8,
        "smsc_client[0].reconnect",
        "longer than max",
    ),
    # regular expressions, templates, times of the day
    ("a bad expression", more(ROUTE, "    when: {text: 'a(b'}"), 20, "routes[0].when.text", "regular expression"),
    (
        "a code and something beside it",
        CLOUD + TEMPLATE.replace("BODY", "['{x}', '{y}'], category: authentication"),
        9,
        "bridge[0].templates[0].body",
        "write body: ['{codigo}']",
    ),
    (
        "an unused group",
        CLOUD + TEMPLATE.replace("BODY", "['{x}']"),
        9,
        "bridge[0].templates[0].body",
        "does not use the group y",
    ),
    (
        "an unknown parameter",
        CLOUD + TEMPLATE.replace("BODY", "['{x}{y}{z}']"),
        9,
        "bridge[0].templates[0].body",
        "uses {z}",
    ),
    (
        "an open brace",
        CLOUD + TEMPLATE.replace("BODY", "['{x}{y}{']"),
        9,
        "bridge[0].templates[0].body",
        "without its partner",
    ),
    (
        "a body that is text",
        CLOUD + TEMPLATE.replace("BODY", "'{x}{y}'"),
        9,
        "bridge[0].templates[0].body",
        "expected a list or a mapping",
    ),
    (
        "a bad template expression",
        CLOUD + TEMPLATE.replace("(?P<y>", "(?P<x>").replace("BODY", "['{x}']"),
        9,
        "bridge[0].templates[0].match",
        "regular expression",
    ),
    (
        "an hour that is none",
        more(ROUTE, "    when: {hours: '08:00-25:00'}"),
        20,
        "routes[0].when.hours",
        "08:00-20:00",
    ),
    ("hours as a number", more(ROUTE, "    when: {hours: 8}"), 20, "routes[0].when.hours", "08:00-20:00"),
    ("a day in full", more(ROUTE, "    when: {days: [monday]}"), 20, "routes[0].when.days[0]", "mon, tue"),
    ("a prefix with letters", more(ROUTE, "    when: {to: ['55x']}"), 20, "routes[0].when.to[0]", "country code"),
    ("a prefix without quotes", more(ROUTE, "    when: {to: [5511]}"), 20, "routes[0].when.to[0]", "put it in quotes"),
    (
        "a data_coding too large",
        more(ROUTE, "    when: {data_coding: [256]}"),
        20,
        "routes[0].when.data_coding[0]",
        "from 0 to 255",
    ),
    # what operators mean
    ("a list of statuses", more(SMSC, "    status: [fail]"), 8, "smsc_client[0].status", "{0x0B: fail"),
    ("a status by name", more(SMSC, "    status: {RTHROTTLED: fail}"), 8, "smsc_client[0].status", 'got "RTHROTTLED"'),
    ("a success that fails", more(SMSC, "    status: {0: fail}"), 8, "smsc_client[0].status", "out of range"),
    ("a status too large", more(SMSC, "    status: {0x100000000: fail}"), 8, "smsc_client[0].status", 'got "0x1'),
    ("another action", more(SMSC, "    status: {88: skip}"), 8, "smsc_client[0].status", "write retry, fail"),
    (
        "one status twice",
        more(SMSC, "    status: {88: fail, 0x58: retry}"),
        8,
        "smsc_client[0].status",
        "0x58 is given",
    ),
    ("tags as a mapping", more(SMSC, "    pass_tlvs: {5120: x}"), 8, "smsc_client[0].pass_tlvs", "expected a list"),
    ("a tag by name", more(SMSC, "    pass_tlvs: [vendor]"), 8, "smsc_client[0].pass_tlvs", "such as 0x1403"),
    ("a tag of our own", more(SMSC, "    pass_tlvs: [0x1401]"), 8, "smsc_client[0].pass_tlvs", "0x1401 is a TLV that"),
    # who gets what people write
    ("a reply to nobody", BASE + "replies:\n  - to: '28940'\n", 21, "replies[0].account", "is missing"),
    (
        "a reply to an unknown account",
        BASE + "replies:\n  - {to: '28940', account: biling}\n",
        21,
        "replies[0].account",
        "did you mean billing?",
    ),
    (
        "a reply by an unknown channel",
        BASE + "replies:\n  - {channel: [zapp], account: billing}\n",
        21,
        "replies[0].channel[0]",
        "did you mean zap?",
    ),
    (
        "a reply that is never reached",
        BASE + "replies:\n  - {channel: zap, account: billing}\n  - {channel: zap, to: '1', account: billing}\n",
        22,
        "replies[1]",
        "replies[0] (line 21) takes all",
    ),
]


@pytest.mark.parametrize(("text", "line", "key", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_file_is_refused_with_its_line_and_key(
    tmp_path: Path, text: str | bytes, line: int, key: str, words: str
) -> None:
    path = written(tmp_path, text)
    errors = check(path, {"EMPTY": "", "SECRET": "hunter2secret"})
    assert any(error.startswith(f"{path}:{line}: {key}: ") and words in error for error in errors), errors
    assert not any("hunter2secret" in error or "20251234" in error for error in errors), errors


def test_no_broken_file_has_more_errors_than_it_should(tmp_path: Path) -> None:
    """One mistake, one sentence: consequences of a mistake are not reported as more mistakes."""
    several = {
        "two passwords",
        "two routes of one name",
        "missing name",
        "zero time",
        "a mapping for a list",
        "a bad template expression",
        "one name on both sides",
    }
    for name, text, *_ in BROKEN:
        errors = check(written(tmp_path, text), {"EMPTY": "", "SECRET": "hunter2secret"})
        assert len(errors) == 1 or name in several, (name, errors)


def test_all_problems_are_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = BASE.replace("billing", "${NOPE}").replace("tcp:127.0.0.1:2776", "nowhere").replace("10m", "soon")
    text = text.replace("[zap, operator]", "[zap, sms]") + "log: {levl: info}\n"
    path = written(tmp_path, text)
    with pytest.raises(ConfigErrors) as caught:
        load(path, {})
    found = [error.removeprefix(f"{path}:").split(": ")[:2] for error in caught.value.errors]
    assert found == [
        ["3", "smpp_server.accounts[0].system_id"],
        ["7", "smsc_client[0].connect"],
        ["18", "routes[0].channels[1]"],
        ["19", "routes[0].fallback_after"],
        ["20", "log.levl"],
    ]
    assert str(caught.value) == "\n".join(caught.value.errors)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "no/such/folder.yaml", "a\0b"])
def test_a_file_that_cannot_be_read_is_an_error_too(tmp_path: Path, name: str) -> None:
    [error] = check(f"{tmp_path}/{name}", {})
    assert ":1: file: cannot be read" in error


@pytest.mark.parametrize(
    ("first", "second", "reached"),
    [
        ("{}", "{to: ['55']}", False),
        ("{to: ['55']}", "{to: ['5511', '5521']}", False),
        ("{to: ['5511']}", "{to: ['55']}", True),
        ("{to: ['+55']}", "{to: '55', text: abc}", False),
        ("{account: [billing]}", "{account: billing}", False),
        ("{account: [billing], text: a}", "{account: [billing], text: b}", True),
        ("{days: [mon, tue]}", "{days: [TUE]}", False),
        ("{hours: '08:00-20:00'}", "{hours: '08:00-20:00', from: ['1']}", False),
        ("{data_coding: [0, 8]}", "{data_coding: 8}", False),
        ("{hours: '08:00-20:00'}", "{hours: '09:00-20:00'}", False),
        ("{hours: '08:00-20:00'}", "{hours: '07:00-09:00'}", True),
        ("{hours: '08:00-20:00'}", "{hours: '19:00-08:00'}", True),
        ("{hours: '22:00-06:00'}", "{hours: '23:00-05:00'}", False),
        ("{hours: '00:00-24:00', days: [mon]}", "{hours: '22:00-06:00', days: [mon]}", True),
        ("{days: [mon]}", "{hours: '22:00-06:00', days: [mon]}", True),
        ("{days: [mon]}", "{hours: '08:00-20:00', days: [mon]}", False),
        ("{days: [mon, tue, wed, thu, fri, sat, sun]}", "{hours: '22:00-06:00'}", False),
        ("{hours: '00:00-24:00', days: [mon, tue, wed, thu, fri, sat, sun]}", "{}", False),
        ("{data_coding: [0]}", "{}", True),
        ("{account: []}", "{data_coding: 8}", False),
    ],
)
def test_a_route_that_an_earlier_one_leaves_nothing_for_is_an_error(
    tmp_path: Path, first: str, second: str, reached: bool
) -> None:
    routes = f"  - {{name: a, when: {first}, channels: [zap]}}\n  - {{name: b, when: {second}, channels: [zap]}}\n"
    errors = check(written(tmp_path, BASE[: BASE.index("  - name: default")] + routes), {})
    assert [error.split(": ")[1] for error in errors] == ([] if reached else ["routes[1]"])


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "redis://localhost",
        "redis://:p%23w@valkey:6379/2",
        "rediss://user:pw@valkey.example.com",
        "redis://[::1]:6379/0",
        "unix:///run/valkey/s.sock?db=1",
        "sentinel://a:26379,b,c:26380/mymaster",
    ],
)
def test_stores_may_be_named_in_these_forms(tmp_path: Path, url: str) -> None:
    config = load(written(tmp_path, f"store: {{url: '{url}'}}\n"), {})
    assert config.store.url == url
    assert "pw" not in repr(config)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (more(ZAP, "    direct_send: true"), "bridge[0].direct_send has no effect"),
        (more(ZAP, "    app_secret: x"), "bridge[0].app_secret has no effect"),
        (more(ZAP, "    verify_token: x"), "bridge[0].verify_token has no effect"),
        (more(ZAP, "    templates: [{name: t, language: pt, match: x}]"), "bridge[0].templates has no effect"),
        (CLOUD + "    webhook_secret: x\n", "bridge[0].webhook_secret has no effect"),
        (CLOUD + "    lookup: {budget: 60/m}\n", "bridge[0].lookup.budget has no effect"),
        (RESOLD + "    app_secret: x\n", "bridge[0].app_secret has no effect"),
        (RESOLD + "    verify_token: x\n", "bridge[0].verify_token has no effect"),
        (BASE + "store: {url: 'redis://h', fsync: always}\n", "store.fsync has no effect"),
    ],
)
def test_keys_without_effect_are_named(tmp_path: Path, change: str, sentence: str) -> None:
    [found] = without_effect(load(written(tmp_path, change), {}))
    assert found.startswith(sentence)


def test_defaults_and_the_good_file_have_no_idle_keys(tmp_path: Path) -> None:
    assert without_effect(load(written(tmp_path, BASE), {})) == []


def test_the_directory_of_a_node_on_an_own_store_is_not_idle(tmp_path: Path) -> None:
    """Its wire log is there: without that a node that comes back sends again what it had written."""
    text = BASE + "store: {url: 'redis://h', directory: /var/lib/pombo}\n"
    assert without_effect(load(written(tmp_path, text), {})) == []


@pytest.mark.parametrize("text", [CLOUD + "    verify_token: x\n    direct_send: true\n", RESOLD])
def test_what_the_official_service_uses_is_not_idle(tmp_path: Path, text: str) -> None:
    assert without_effect(load(written(tmp_path, text), {})) == []


@pytest.mark.parametrize(
    ("url", "resold"),
    [
        ("https://waba-v2.360dialog.io", True),
        ("https://WABA-V2.360dialog.io/", True),
        ("https://graph.facebook.com/v25.0", False),
        ("https://360dialog.io.example.org/v25.0", False),
        ("https://example.org/360dialog.io/v25.0", False),
    ],
)
def test_360dialog_is_known_by_its_host(tmp_path: Path, url: str, resold: bool) -> None:
    text = CLOUD.replace("https://graph.facebook.com/v25.0", url) + "    webhook_secret: x\n"
    assert load(written(tmp_path, text), {}).bridge[0].resold is resold


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_done_to_a_file_only_configerrors_come_out(tmp_path: Path, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(BASE)))
    upto = data.draw(st.integers(cut, min(len(BASE), cut + 30)))
    junk = data.draw(
        st.one_of(st.text(max_size=8), st.sampled_from(["[", "{", "${", ": ", "&a ", "*a", "!", "- ", "0", "null"]))
    )
    text = (BASE[:cut] + junk + BASE[upto:]).encode("utf-8", "surrogatepass")
    for error in check(written(tmp_path, text), {}):
        assert ": " in error


ODD: list[Any] = [
    None,
    [],
    {},
    [[]],
    {"hunter2secret": "hunter2secret"},
    7,
    -1.5,
    True,
    "",
    "hunter2secret",
    ["hunter2secret"],
    [None],
]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything in a document."""
    yield path
    if isinstance(value, (dict, list)):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, step))


def test_a_value_of_any_kind_in_any_place_is_an_error_with_a_line_or_is_taken(tmp_path: Path) -> None:
    whole = yaml.safe_load((Path(__file__).resolve().parents[2] / "config/production.yaml").read_text())
    for number, path in enumerate(list(places(whole))[1:]):
        odd = copy.deepcopy(whole)
        inside = odd
        for step in path[:-1]:
            inside = inside[step]
        for value in ODD[number % 4 :: 4]:  # every kind meets every sort of key sooner or later
            inside[path[-1]] = value
            for error in check(written(tmp_path, json.dumps(odd)), {}):
                assert re.match(r".*/pombo\.yaml:\d+: [\w.\[\]]+: .+[;,?:] .+", error) or "did you mean" in error, error
                secret = re.search(r"password|secret|token|api_key|store\.url", error.split(": ")[1])
                assert not secret or "hunter2secret" not in error.split(": ", 2)[2], error


def test_the_countries_are_those_of_the_library() -> None:
    assert {region for region in phonenumbers.SUPPORTED_REGIONS if region.isalpha()} == COUNTRIES


def test_loading_leaves_twisted_alone(tmp_path: Path) -> None:
    """Loading Twisted's endpoints would cost more than the rest of a check."""
    script = "import sys; from config.load import load; load(sys.argv[1], {}); print('twisted.internet' in sys.modules)"
    run = [sys.executable, "-c", script, str(written(tmp_path, BASE))]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("route", "warnings"),
    [
        ("channels: [zap], fallback_after: 10m", 1),
        ("channels: [zap, zap2], fallback_after: 10m", 1),
        ("channels: [zap, zap2], fallback_after: 10m, fallback: none", 0),
        ("channels: [zap], fallback_after: 10m, fallback: none", 0),
        ("channels: [zap]", 1),
        ("channels: [zap], fallback: none", 0),
        ("channels: [operator], fallback_after: 10m", 0),
        ("channels: [operator, zap], fallback_after: 10m", 0),
        ("channels: [zap, operator], fallback_after: 10m", 0),
    ],
)
def test_a_route_without_an_operator_is_warned_about_unless_it_says_that_this_is_meant(
    tmp_path: Path, route: str, warnings: int
) -> None:
    """R23; a channel that is not there at all is an error."""
    before = BASE[: BASE.index("  - name: default")]
    second = "bridge:\n  - {name: zap2, provider: waha, url: 'http://h', api_key: k, instance: i}\n"
    text = before.replace("bridge:\n", second) + f"  - {{name: default, {route}}}\n"
    path = written(tmp_path, text)
    assert check(path, {}) == []
    assert len(without_fallback(load(path, {}))) == warnings


@pytest.mark.parametrize(
    ("text", "body", "right"),
    [
        ("Ola {{1}}, {{2}}.", "['{a}', '{b}']", True),
        ("Ola {{1}}.", "['{a}', '{b}']", False),
        ("Ola {{1}}, {{3}}.", "['{a}', '{b}']", False),
        ("Ola {{ nome }}.", "{nome: '{a}'}", True),
        ("Ola {{nome}}.", "{outro: '{a}'}", False),
        ("Ola.", "[]", True),
    ],
)
def test_an_approved_text_has_the_places_that_body_fills(tmp_path: Path, text: str, body: str, right: bool) -> None:
    entry = f"      - {{name: x, language: pt_BR, text: '{text}', body: {body}}}\n"
    errors = check(written(tmp_path, f"{CLOUD}    templates:\n{entry}"), {})
    assert [error.split(": ")[1] for error in errors] == ([] if right else ["bridge[0].templates[0].text"])


@pytest.mark.parametrize(("token", "sentences"), [("x" * 15, 1), ("x" * 16, 0), (None, 0)])
def test_an_admin_token_that_can_be_guessed_is_told_and_not_shown(
    tmp_path: Path, token: str | None, sentences: int
) -> None:
    text = BASE + (f"\nhttp:\n  admin_token: {token}\n" if token else "")
    found = guessable(load(written(tmp_path, text), {}))
    assert len(found) == sentences
    assert "xxx" not in "".join(found)
