"""Where the store is: `embedded`, one Redis or Valkey server, or a group watched by Sentinel."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

FORM = (
    "write embedded, redis://host:6379/0, rediss://host:6379/0, unix:///run/valkey.sock "
    "or sentinel://host1:26379,host2:26379/NAME"
)


class StoreUrl(Struct, frozen=True):
    """A store url taken apart. kind is embedded, tcp, unix or sentinel; the password never shows in repr."""

    kind: str
    hosts: tuple[tuple[str, int], ...] = ()  # of the server, or of the sentinels
    path: str = ""  # unix: the socket
    database: int = 0
    service: str = ""  # sentinel: the name of the group
    username: str = ""
    password: str = ""
    tls: bool = False

    def __repr__(self) -> str:
        return f"StoreUrl(kind={self.kind!r}, hosts={self.hosts!r}, path={self.path!r}, database={self.database})"


def parse(url: str) -> StoreUrl:
    """Take a store url apart. ValueError with a sentence (never holding the url, it may carry a password)."""
    if url == "embedded":
        return StoreUrl("embedded")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"is not a store url; {FORM}") from None
    if parts.fragment:
        raise ValueError(f"has a # in it, write %23 for one in a password; {FORM}")
    user, _, place = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    if parts.scheme in ("redis", "rediss"):
        hosts = _hosts(place, 6379)
        if len(hosts) != 1:
            raise ValueError(f"names more than one server; use sentinel:// for a group; {FORM}")
        number = parts.path.strip("/") or "0"
        return StoreUrl(
            "tcp",
            hosts,
            database=_database(number),
            username=unquote(name),
            password=unquote(password),
            tls=parts.scheme == "rediss",
        )
    if parts.scheme == "unix":
        if place or len(parts.path) < 2:
            raise ValueError(f"needs an absolute path after unix://; {FORM}")
        number = parse_qs(parts.query).get("db", ["0"])[-1]
        return StoreUrl(
            "unix",
            path=unquote(parts.path),
            database=_database(number),
            username=unquote(name),
            password=unquote(password),
        )
    if parts.scheme == "sentinel":
        service, _, number = parts.path.strip("/").partition("/")
        if not service:
            raise ValueError(f"lacks the name of the group after the hosts; {FORM}")
        return StoreUrl(
            "sentinel",
            _hosts(place, 26379),
            service=unquote(service),
            database=_database(number or "0"),
            username=unquote(name),
            password=unquote(password),
        )
    raise ValueError(f"is not a store url; {FORM}")


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    hosts = []
    for one in text.split(","):
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::(\d{1,5}))?", one.strip())
        if found is None or int(found[2] or port) > 65535:
            raise ValueError(f"has no readable host and port; {FORM}")
        hosts.append((found[1].strip("[]"), int(found[2] or port)))
    return tuple(hosts)


def _database(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text):
        raise ValueError(f"its database is not a number; {FORM}")
    return int(text)
