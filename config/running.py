"""What a node runs with once it has read another file: most of it at once, the rest as it was until the next start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config import endpoints
from config.schema import Config

# Sections; of smpp_server only `listen`, see after_reload.
UNTIL_NEXT_START = ("node", "dry_run", "store", "http", "log")
Written = Mapping[str, Any]
Loaded = tuple[Config, Written]
"""A configuration and its values as the file writes them, as of config.load.load_as_written."""


def after_reload(running: Loaded, read: Loaded) -> Loaded:
    """The configuration in use after a node that runs with one has read another."""
    (old, was), (new, will) = running, read
    http = old.http.model_copy(update={"listen": listeners(old.http.listen, new.http.listen)})
    server = new.smpp_server.model_copy(update={"listen": listeners(old.smpp_server.listen, new.smpp_server.listen)})
    kept = {name: getattr(old, name) for name in UNTIL_NEXT_START}
    written = {**will, **{name: was.get(name) for name in UNTIL_NEXT_START}}
    if http.listen != old.http.listen:
        written["http"] = {**(was.get("http") or {}), "listen": list(http.listen)}
    if server.listen != new.smpp_server.listen:
        written["smpp_server"] = {**(will.get("smpp_server") or {}), "listen": list(server.listen)}
    config = new.model_copy(update={**kept, "http": http, "smpp_server": server})
    return config, {name: value for name, value in written.items() if value is not None}


def listeners(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """The addresses in use: those that were opened at the start, with the certificates that they are given now."""
    named = {place_of(one): one for one in new}
    return tuple(named.get(place_of(one), one) for one in old)


def place_of(description: str) -> tuple[str, ...]:
    """Where a listener is; of one with TLS without its files, which are read again."""
    if endpoints.split(description)[0].lower() != "ssl":
        return (description,)
    listener = endpoints.server(description)
    return "ssl", listener["port"], listener.get("interface", "")
