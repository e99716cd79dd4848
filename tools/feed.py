"""The event feed, read from the store: key `pombo:events`, one entry per batch, field `b` = a msgpack array of maps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import valkey
from valkey import sentinel

from config import store_url
from config.schema import StoreSettings
from gateway.store.embedded import socket_path
from gateway.store.keys import FEED
from tools.node import NodeError
from tools.units import epoch

BATCHES = 200  # read at a time
BLOCK_MS = 1000
TIMEOUT_S = 5.0
MARGIN_S = 60.0  # an event enters the feed a little after it happened


def connect(settings: StoreSettings) -> Any:
    """A client of the node's store; NodeError when it does not answer."""
    place = store_url.parse(settings.url)
    login: dict[str, Any] = {
        "username": place.username or None,
        "password": place.password or None,
        "db": place.database,
    }
    client: Any
    try:
        match place.kind:
            case "embedded":
                client = valkey.Valkey(unix_socket_path=socket_path(settings.directory), socket_timeout=TIMEOUT_S)
            case "unix":
                client = valkey.Valkey(unix_socket_path=place.path, socket_timeout=TIMEOUT_S, **login)
            case "sentinel":
                client = _group(place).master_for(place.service, **login)
            case _:
                [(host, port)] = place.hosts
                client = valkey.Valkey(host=host, port=port, ssl=place.tls, socket_timeout=TIMEOUT_S, **login)
        client.ping()
    except (valkey.ValkeyError, OSError):
        raise NodeError(f"the store of the node ({place.kind}) cannot be reached; is the node running?") from None
    return client


def _group(place: store_url.StoreUrl) -> Any:
    """The sentinels; with the server's password where they want one."""
    watchers: Any = sentinel
    hosts = list(place.hosts)
    try:
        group = watchers.Sentinel(hosts, socket_timeout=TIMEOUT_S)
        group.discover_master(place.service)
    except valkey.ValkeyError:
        login = {"username": place.username or None, "password": place.password or None}
        group = watchers.Sentinel(
            hosts, socket_timeout=TIMEOUT_S, sentinel_kwargs={**login, "socket_timeout": TIMEOUT_S}
        )
    return group


def events(client: Any, *, since_at: float = 0.0, account: str = "", follow: bool = False) -> Iterator[dict[str, Any]]:
    """Events from `since_at` (epoch seconds) on, oldest first, of one account or of all; with `follow` it never ends.

    What an erasure has written anew comes again, at the end and with "again"; who follows does not see that twice.
    NodeError when the store goes away.
    """
    began = time.time()
    last = f"{max(0, int((since_at - MARGIN_S) * 1000))}-0".encode()
    while True:
        try:
            answer = client.xread({FEED: last}, count=BATCHES, block=BLOCK_MS if follow else None)
        except (valkey.ValkeyError, OSError):
            raise NodeError("the store went away") from None
        entries = answer[0][1] if answer else []
        for entry_id, fields in entries:
            last = entry_id
            for event in msgspec.msgpack.decode(fields[b"b"]):
                if account and event.get("account") != account:
                    continue
                if since_at and epoch(event["at"]) < since_at:
                    continue
                if follow and event.get("again") and int(entry_id.partition(b"-")[0]) > began * 1000:
                    continue  # an erasure took a number out of it since
                yield event
        if not entries and not follow:
            return
