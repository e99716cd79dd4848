"""Twisted endpoint strings: checked without opening anything.

The common kinds are read here, because loading Twisted's endpoints takes longer than everything else a check does;
any other kind is given to Twisted's own parser. The grammar is that of `twisted.internet.endpoints`: arguments parted
by colons, `name=value` for keywords, a backslash before a colon, equals sign or backslash that is meant literally.
"""

from __future__ import annotations

import ipaddress
import os
import re

SERVER_FORM = 'such as "tcp:2775:interface=127.0.0.1" or "ssl:3550:privateKey=key.pem:certKey=cert.pem"'
CLIENT_FORM = 'such as "tcp:10.0.0.5:2775" or "tls:smsc.example.com:3550"'

# kind: (positional names in order, how many of them are required, keywords besides)
_SERVERS: dict[str, tuple[tuple[str, ...], int, frozenset[str]]] = {
    "tcp": (("port", "interface", "backlog"), 1, frozenset()),
    "tcp6": (("port", "interface", "backlog"), 1, frozenset()),
    "ssl": (
        ("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters"),
        1,
        frozenset(),
    ),
    "unix": (("address", "mode", "backlog", "lockfile"), 1, frozenset()),
}
_CLIENTS: dict[str, tuple[tuple[str, ...], int, frozenset[str]]] = {
    "tcp": (("host", "port"), 2, frozenset({"timeout", "bindAddress"})),
    "ssl": (
        ("host", "port"),
        2,
        frozenset({"timeout", "bindAddress", "certKey", "privateKey", "caCertsDir", "hostname"}),
    ),
    "tls": (
        ("host", "port"),
        2,
        frozenset({"timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"}),
    ),
    "unix": (("path",), 1, frozenset({"timeout", "lockfile", "checkPID"})),
}
_FILES = ("privateKey", "certKey", "extraCertChain", "dhParameters", "certificate", "caCertsDir", "trustRoots")
_HOST = re.compile(r"[A-Za-z0-9._\-]+|[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*")


def split(text: str) -> tuple[str, list[str], dict[str, str]]:
    """An endpoint string as (kind, positional arguments, keyword arguments), escapes taken out."""
    words: list[list[str]] = [[""]]
    escaped = False
    for char in text:
        if escaped:
            words[-1][-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ":":
            words.append([""])
        elif char == "=" and len(words[-1]) == 1:
            words[-1].append("")
        else:
            words[-1][-1] += char
    if escaped:
        raise ValueError("ends in a backslash; write two for one that is meant literally")
    positional = [word[0] for word in words if len(word) == 1]
    keywords = {word[0]: word[1] for word in words if len(word) == 2}
    kind = positional.pop(0) if positional and len(words[0]) == 1 else ""
    return kind, positional, keywords


def server(text: str) -> dict[str, str]:
    """The arguments of a listening endpoint by name. ValueError with a sentence when Twisted could not listen on it."""
    return _read(text, _SERVERS, SERVER_FORM, "serverFromString")


def client(text: str) -> dict[str, str]:
    """The arguments of a connecting endpoint by name. ValueError with a sentence when Twisted could not use it."""
    return _read(text, _CLIENTS, CLIENT_FORM, "clientFromString")


def _read(
    text: str, kinds: dict[str, tuple[tuple[str, ...], int, frozenset[str]]], form: str, parser: str
) -> dict[str, str]:
    kind, positional, keywords = split(text)
    kind = kind.lower()
    known = kinds.get(kind)
    if known is None:
        _ask_twisted(text, kind, form, parser)
        return {"kind": kind}
    names, required, more = known
    if len(positional) > len(names):
        raise ValueError(f"has too many parts for a {kind} endpoint; write one {form}")
    arguments = dict(zip(names, positional, strict=False))
    for name, value in keywords.items():
        if name not in names and name not in more:
            raise ValueError(f"{kind} endpoints have no argument {name!r}; write one {form}")
        if name in arguments:
            raise ValueError(f"gives {name} twice; write one {form}")
        arguments[name] = value
    for name in names[:required]:
        if not arguments.get(name):
            raise ValueError(f"lacks its {name}; write one {form}")
    _check(kind, arguments, form)
    return {"kind": kind, **arguments}


def _check(kind: str, arguments: dict[str, str], form: str) -> None:
    port = arguments.get("port")
    host = arguments.get("host")
    lowest = 0 if host is None else 1
    if port is not None and not (re.fullmatch(r"\d{1,5}", port) and lowest <= int(port) <= 65535):
        raise ValueError(f"its port is not a number from {lowest} to 65535; write one {form}")
    if host is not None and not _HOST.fullmatch(host):
        raise ValueError(f"its host is not a host name or address; write one {form}")
    interface = arguments.get("interface", "")
    if re.fullmatch(r"[\d.]+|.*:.*", interface) and not _is_address(interface):
        raise ValueError(f"its interface is not an address of this machine; write one {form}")
    for name, pattern in (("backlog", r"\d{1,6}"), ("mode", r"[0-7]{3,4}"), ("timeout", r"\d{1,6}")):
        if name in arguments and not re.fullmatch(pattern, arguments[name]):
            raise ValueError(f"its {name} is not a number; write one {form}")
    if kind == "ssl" and port is not None and host is None and "privateKey" not in arguments:
        raise ValueError(f"lacks privateKey, the file that holds the key; write one {form}")
    for name in _FILES:
        path = arguments.get(name)
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"its {name} {path!r} cannot be read; name a file that exists and is readable")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ask_twisted(text: str, kind: str, form: str, parser: str) -> None:
    from twisted.internet import endpoints
    from twisted.internet.task import Clock

    try:
        getattr(endpoints, parser)(Clock(), text)
    except Exception:  # plugins raise whatever they like
        raise ValueError(f"is not an endpoint that Twisted can read; write one {form}") from None
