"""The gateways that are measured: plain values, each on top of the plain one. What the load tool needs is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

Configuration = dict[str, Any]
USER, PASSWORD = "bench", "bench"  # the load tool's own
UNLIMITED = "1000000/s"
KEY = "bench-key"


class Place(msgspec.Struct, frozen=True):
    """Where a gateway has its files, and the ports of it and its peers. other: of whatever else a scene needs."""

    directory: Path
    smpp: int
    http: int
    operator: int
    other: int


Configure = Callable[[Place], Configuration]


def account(system_id: str, **more: Any) -> Configuration:
    return {"system_id": system_id, "password": PASSWORD, "throughput": UNLIMITED, "max_binds": 1100, **more}


def plain(place: Place) -> Configuration:
    """One account, one operator, one route."""
    return {
        "node": "bench",
        "store": {"url": "embedded", "directory": str(place.directory / "store"), "fsync": "always",
                  "max_messages": 5_000_000},
        "smpp_server": {
            "listen": [f"tcp:{place.smpp}:interface=127.0.0.1:backlog=512"],
            "accounts": [account(USER)],
        },
        "smsc_client": [
            {"name": "operator", "connect": f"tcp:127.0.0.1:{place.operator}", "system_id": "pombo",
             "password": "pombo", "throughput": UNLIMITED, "window": 2000}
        ],
        "routes": [{"name": "default", "channels": ["operator"]}],
        "http": {"listen": [f"tcp:{place.http}:interface=127.0.0.1"]},
        "log": {"level": "warn"},
    }  # fmt: skip


def every_feature(place: Place) -> Configuration:
    """Rates, address and source rules of accounts, routes with expressions that do not match before the one that does,
    prices, a JSON log at info. Trace, events and metrics are never off; the scene reads the metrics as well."""
    configuration = plain(place)
    rules = {"throughput": "200000/s", "window": 1000, "allow_from": ["127.0.0.0/8"], "sources": ["1000", "28940"]}
    configuration["smpp_server"]["accounts"] = [
        account(USER, **rules),
        *(account(f"other{n}", **rules) for n in range(9)),
    ]
    configuration["smsc_client"][0] |= {"throughput": "200000/s", "price": "0.08"}
    configuration["routes"] = [
        {"name": "codes", "when": {"account": [USER], "text": r"(?i)\b(codigo|senha|token)\b.{0,20}\d{4,8}"},
         "channels": ["operator"], "priority": "high"},
        {"name": "bills", "when": {"text": r"(?i)fatura de R\$ ?[\d.,]+ vence em [\d/]+"}, "channels": ["operator"]},
        {"name": "own", "when": {"from": ["28940"], "data_coding": [0, 8]}, "channels": ["operator"]},
        {"name": "brazil", "when": {"to": ["55"], "hours": "08:00-20:00"}, "channels": ["operator"]},
        {"name": "offers", "when": {"text": r"(?i)\bdesconto\b"}, "channels": ["operator"], "priority": "low"},
        {"name": "default", "channels": ["operator"]},
    ]  # fmt: skip
    configuration["log"] = {"level": "info", "format": "json"}
    return configuration


def whatsapp_channel(place: Place, **lookup: Any) -> Configuration:
    return {
        "name": "zap", "provider": "evolution", "url": f"http://127.0.0.1:{place.other}", "api_key": KEY,
        "instance": "main", "throughput": "100000/s", "health": {"min_acks": 0},
        "lookup": {"budget": "100000/s", **lookup},
    }  # fmt: skip


def with_lookup(place: Place, asks: bool) -> Configuration:
    """WhatsApp first, for those who have it; the others go by SMS. Without `asks`, SMS at once: where nobody is asked,
    texts are sent by WhatsApp to see, which is not the same work."""
    configuration = plain(place)
    configuration["bridge"] = [whatsapp_channel(place)]
    channels = {"channels": ["zap", "operator"], "fallback_after": "10m"} if asks else {"channels": ["operator"]}
    configuration["routes"] = [{"name": "default", **channels}]
    return configuration


def whatsapp_only(place: Place) -> Configuration:
    configuration = plain(place)
    del configuration["smsc_client"]
    configuration["bridge"] = [whatsapp_channel(place, enabled=False, when_unknown="send")]
    configuration["routes"] = [{"name": "default", "channels": ["zap"], "fallback": "none"}]
    return configuration


def over_tls(place: Place, key: Path, certificate: Path) -> Configuration:
    """Another listener, with TLS, on the place's other port."""
    configuration = plain(place)
    listener = f"ssl:{place.other}:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
    configuration["smpp_server"]["listen"].append(listener)
    return configuration


def with_accounts(place: Place, names: list[str]) -> Configuration:
    configuration = plain(place)
    configuration["smpp_server"]["accounts"] = [account(name) for name in names]
    return configuration


def with_binds(place: Place, count: int) -> Configuration:
    """So many binds at the operator, under the window that one has elsewhere."""
    configuration = plain(place)
    configuration["smsc_client"][0] |= {"binds": count, "window": 2000 // count}
    return configuration


def with_routes(place: Place, count: int) -> Configuration:
    """So many routes, of which the last one matches: the others ask for other prefixes and sources."""
    configuration = plain(place)
    others = [
        {"name": f"route{n}", "when": {"to": [f"55{n:04d}"], "from": ["28940"]}, "channels": ["operator"]}
        for n in range(count - 1)
    ]
    configuration["routes"] = [*others, {"name": "default", "channels": ["operator"]}]
    return configuration


def with_absent_operator(place: Place) -> Configuration:
    """A second operator that nobody can reach, on the place's other port, for messages that wait."""
    configuration = plain(place)
    configuration["smsc_client"].append(
        {"name": "away", "connect": f"tcp:127.0.0.1:{place.other}", "system_id": "pombo", "password": "pombo"}
    )
    configuration["routes"].insert(0, {"name": "away", "when": {"to": ["5511"]}, "channels": ["away"]})
    return configuration


def urgent_first(place: Place, rate: int) -> Configuration:
    """An operator that takes so many a second; what the load tool sends is urgent."""
    configuration = plain(place)
    configuration["smsc_client"][0]["throughput"] = f"{rate}/s"
    configuration["routes"] = [
        {"name": "urgent", "when": {"account": [USER]}, "channels": ["operator"], "priority": "high"},
        {"name": "default", "channels": ["operator"], "priority": "low"},
    ]
    return configuration


def capped(place: Place, rate: int) -> Configuration:
    """An operator with a cap, and the usual window."""
    configuration = plain(place)
    configuration["smsc_client"][0] |= {"throughput": f"{rate}/s", "window": 50}
    return configuration


def forgetful(place: Place) -> Configuration:
    """What has ended is forgotten within the minute: what grows then is not what was kept on purpose."""
    configuration = plain(place)
    configuration["store"] |= {"retention": "30s", "events": 10_000}
    return configuration
