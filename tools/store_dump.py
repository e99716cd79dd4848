"""Everything in a store as one small file, and back: what the tests of older formats start from.

    python -m tools.store_dump save unix:///srv/pombo/var/store/valkey.sock store.dump
    python -m tools.store_dump load unix:///tmp/empty/valkey.sock store.dump

The file does not depend on the server's version: keys are kept by what is in them, with the time they have left. It
holds texts and numbers; treat it as you treat the store.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import valkey


class Row(msgspec.Struct, array_like=True, frozen=True):
    """One key. left_ms: until it goes; -1: it stays."""

    key: bytes
    kind: str
    left_ms: int
    value: Any


class Dump(msgspec.Struct, frozen=True):
    """A store. about: whatever whoever saved it wants to be known."""

    rows: list[Row]
    about: dict[str, Any] = {}


READ: dict[str, Any] = {
    "string": lambda client, key: client.get(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: sorted(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "hash": lambda client, key: list(client.hgetall(key).items()),
    "stream": lambda client, key: [(entry, list(fields.items())) for entry, fields in client.xrange(key)],
}


def read(client: Any, leave_out: tuple[bytes, ...] = ()) -> list[Row]:
    """All keys in order, without those whose name begins with one of `leave_out`."""
    rows = []
    for key in sorted(client.scan_iter(count=1000)):
        if not key.startswith(leave_out):
            kind = client.type(key).decode()
            if kind in READ:
                rows.append(Row(key, kind, client.pttl(key), READ[kind](client, key)))
    return rows


def write(client: Any, rows: list[Row]) -> None:
    """Into a store that has none of these keys."""
    for row in rows:
        match row.kind:
            case "string":
                client.set(row.key, row.value)
            case "list":
                client.rpush(row.key, *row.value)
            case "set":
                client.sadd(row.key, *row.value)
            case "zset":
                client.zadd(row.key, dict(row.value))
            case "hash":
                client.hset(row.key, mapping=dict(row.value))
            case "stream":
                for entry, fields in row.value:
                    client.xadd(row.key, dict(fields), id=entry)
        if row.left_ms >= 0:
            client.pexpire(row.key, max(1, row.left_ms))


def save(path: Path, dump: Dump) -> None:
    path.write_bytes(zlib.compress(msgspec.msgpack.encode(dump), 9))


def load(path: Path) -> Dump:
    return msgspec.msgpack.decode(zlib.decompress(path.read_bytes()), type=Dump)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.store_dump", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("save", "load"))
    parser.add_argument("url", help="unix:///path/valkey.sock or redis://host:port/0")
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args(arguments)
    client = valkey.from_url(chosen.url)
    if chosen.what == "save":
        rows = read(client)
        save(chosen.file, Dump(rows))
        print(f"{len(rows)} keys saved")
    elif client.dbsize():
        print("this store is not empty; load into an empty one", file=sys.stderr)
        return 1
    else:
        rows = load(chosen.file).rows
        write(client, rows)
        print(f"{len(rows)} keys loaded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
