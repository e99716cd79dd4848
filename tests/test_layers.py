"""Which way imports point: one table, held against every import statement of the project."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("gateway", "smsc_client", "bridge", "config", "tools")

PORTS = {"gateway.delivery.pacing", "gateway.delivery.ports"}  # of the use cases, what adapters may know
PLAIN = {"gateway.messages", "gateway.metrics", "gateway.background", "config.schema", *PORTS}

# What a module may import besides the standard library and, where the row is a folder, that folder. The longest name
# that fits a module counts, and nothing is inherited from shorter ones; "*" is everything of ours.
MAY: dict[str, set[str]] = {
    "gateway": set(),
    # the heart, without I/O
    "gateway.smpp": {"msgspec"},
    "gateway.smpp.constants": {"smpp.pdu"},
    "gateway.messages": {"msgspec"},
    "gateway.messages.address": {"phonenumbers"},
    "gateway.routing": {"msgspec", "gateway.messages"},
    # the store
    "gateway.store": {"msgspec", "twisted", "gateway.messages"},
    "gateway.store.keys": set(),
    "gateway.store.records": {"msgspec", "gateway.messages"},
    "gateway.store.wirelog": set(),
    "gateway.store.aof": set(),
    "gateway.store.embedded": {"config.schema", "gateway.store.aof"},
    "gateway.store.sentinel": {"twisted", "config.store_url"},
    "gateway.store.connection": {"twisted", "txredisapi", "gateway.writing"},
    "gateway.store.valkey": {
        "twisted", "gateway.store.connection", "gateway.store.embedded", "gateway.store.reasons",
        "gateway.store.sentinel", "config.store_url",
    },
    # the use cases
    "gateway.delivery": {
        "msgspec", "twisted", "gateway.messages", "gateway.routing", "gateway.store", "gateway.metrics",
        "gateway.smpp.constants",
    },
    "gateway.delivery.operations": {
        "twisted", "gateway.messages", "gateway.routing", "gateway.store", "gateway.delivery", "gateway.smpp.constants",
        "gateway.smpp.segments",
    },
    "gateway.delivery.pacing": set(),
    "gateway.delivery.ports": {"gateway.messages"},
    # the shells
    "gateway.server": {
        "msgspec", "twisted", "zope", "gateway.smpp", "gateway.messages", "gateway.metrics", "config.schema",
        "config.secrets", "config.quirks", "gateway.listening", "gateway.writing", *PORTS,
    },
    "gateway.web": {
        "msgspec", "twisted", "gateway.smpp", "gateway.messages", "gateway.delivery", "gateway.store",
        "gateway.metrics", "bridge.provider", "bridge.drafts", "bridge.presence", "config.schema", "config.units",
    },
    "gateway.web.listener": {
        "httptools", "msgspec", "twisted", "zope", "bridge.provider", "gateway.running", "gateway.writing",
    },
    "gateway.background": {"twisted", "gateway.running"},
    "gateway.running": {"twisted"},
    "gateway.channels": {
        "twisted", "bridge", "config.schema", "gateway", "smsc_client",
    },
    "gateway.configured": {
        "config.schema", "gateway.messages", "gateway.routing", "gateway.server.dialect", "gateway.store.keys",
    },
    "gateway.descriptors": set(),
    "gateway.dry_run": {"gateway.delivery.ports", "gateway.messages", "gateway.store"},
    "gateway.notify": set(),
    "gateway.signals": {"twisted.internet.error"},
    "gateway.gauges": {"gateway.delivery.ports", "gateway.messages", "gateway.metrics"},
    "gateway.listening": {"twisted", "zope", "config.endpoints"},
    "gateway.logs": {"twisted", "zope", "gateway.redaction"},
    "gateway.metrics": {"prometheus_client"},
    "gateway.polling": {"twisted"},
    "gateway.redaction": set(),
    "gateway.steady": {"twisted.logger"},
    "gateway.workers": {
        "msgspec", "twisted", "gateway.delivery.dispatch", "gateway.delivery.pacing", "gateway.delivery.ports",
        "gateway.messages", "gateway.metrics", "config.running", "config.schema",
    },
    "gateway.workers.board": set(),
    "gateway.workers.parent": {
        "twisted.logger", "gateway.notify", "gateway.signals", "gateway.store.embedded", "gateway.workers.board",
    },
    "gateway.workers.kept": {"msgspec", "twisted.logger", "gateway.metrics", "gateway.workers.sums"},
    "gateway.workers.sums": {"msgspec", "gateway.metrics"},
    "gateway.texts": {"gateway.messages", "gateway.smpp"},
    "gateway.wiring": {"*", "twisted"},
    "gateway.writing": {"twisted"},
    "smsc_client": {"twisted", "gateway.smpp", *PLAIN},
    "smsc_client.protocol": {"twisted", "zope", "gateway.smpp", "gateway.writing", "smsc_client"},
    "bridge": {"msgspec", "twisted.internet.defer", "twisted.logger", *PLAIN},
    "bridge.dry_run": {"bridge", "config.schema", "gateway.messages"},
    "bridge.http": {"twisted", "bridge.provider", "bridge.http_connection"},
    "bridge.http_connection": {"httptools", "msgspec", "twisted", "bridge.provider", "gateway.writing"},
    "bridge.provider": {"msgspec", "gateway.messages", "bridge.templates"},
    "bridge.providers": {"msgspec", "bridge.provider", "bridge.templates", "gateway.messages", "config.schema"},
    "bridge.templates": {"msgspec", "gateway.messages.directive"},
    "bridge.shapes": {"bridge.words"},
    "bridge.drafts": {"msgspec", "bridge.shapes", "bridge.templates", "bridge.words"},
    "bridge.words": set(),
    # settings
    "config": {"msgspec", "pydantic"},
    "config.document": {"yaml", "config.fields", "config.references"},
    "config.export": {"yaml", "pydantic", "config.fields", "config.load", "config.schema"},
    "config.endpoints": {"twisted"},
    "config.secrets": {"cryptography", "pydantic"},
    "config.certificates": {"cryptography"},
    # commands, the demo and the laboratory
    "tools.building": {"setuptools"},  # before anything is installed
    "tools": {
        "msgspec", "pydantic", "requests", "twisted", "yaml", "valkey", "config", "gateway.smpp",
        "gateway.store.embedded", "gateway.store.keys", *PORTS,
    },
    "tools.audit": {"packaging", "requests"},
    "tools.cli": {"shtab", "tools"},
    "tools.mend_command": {"gateway.store.aof", "gateway.store.embedded", "tools"},
    "tools.demo": {"twisted", "smpplib", "tools"},
    "tools.demo_client": {"msgspec", "smpplib"},
    "tools.backlog": {
        "twisted", "valkey", "gateway.store", "gateway.messages", "tools",
    },
    "tools.bench": {"msgspec", "requests", "twisted", "gateway.store.embedded", "tools"},
    "tools.certificate": {"cryptography"},
    "tools.bench.silent_esmes": {"gateway.smpp"},
    "tools.bench.scenes_beside": {"gateway.messages", "tools"},
    "tools.bench.scenes_growing": {"gateway.messages", "tools"},
    "tools.bench.waiting": {"valkey", "gateway.messages", "gateway.store.embedded", "tools"},
    "tools.model": {"msgspec", "gateway.messages", "gateway.routing", "gateway.store"},
    "tools.soak_audit": {"msgspec", "valkey", "gateway.store", "tools"},
    "tools.run_workers": {
        "twisted", "config", "gateway.signals", "gateway.logs", "gateway.store.embedded", "gateway.wiring",
        "gateway.workers", "tools.run",
    },
    "tools.run": {
        "twisted", "config.load", "gateway.signals", "gateway.logs", "gateway.store.embedded", "gateway.wiring",
    },
    "twistd": {
        "twisted", "config.load", "gateway.signals", "gateway.logs", "gateway.store.embedded", "gateway.wiring",
    },
    "tools.fuzz": {"atheris", "tools"},
    "tools.fuzz_targets": {
        "msgspec", "config.schema", "tools", "gateway.smpp", "gateway.messages", "gateway.server", "smsc_client",
        "bridge.provider", "bridge.providers",
    },
}  # fmt: skip

# Who takes the process's reactor instead of being given one: the entry points.
REACTOR = {"twistd", "gateway.wiring", "tools.backlog", "tools.run", "tools.demo", "tools.drill", "tools.laboratory",
           "tools.mixed_run", "tools.outside", "tools.run_workers", "tools.soak"}  # fmt: skip
REACTOR_ITSELF = {"twisted.internet.reactor"}
OF_THE_REACTOR = REACTOR_ITSELF | {"twisted.internet.threads.deferToThread"}

# Bytes, clocks, chance and files come to these as arguments.
PURE = ("gateway.smpp", "gateway.messages", "gateway.routing", "gateway.delivery.pacing", "bridge.forms",
        "bridge.health", "bridge.provider", "bridge.providers", "bridge.templates", "smsc_client.slowdown",
        "smsc_client.answers", "smsc_client.backoff", "bridge.shapes", "bridge.words", "bridge.limits",
        "bridge.drafts")  # fmt: skip
NOT_PURE = {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading"}
CLOCKS = {("time", "time"), ("time", "monotonic"), ("time", "sleep"), ("datetime", "now"), ("datetime", "utcnow")}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    _name(path): path
    for path in [ROOT / "twistd.tac", *(path for room in OURS for path in sorted((ROOT / room).rglob("*.py")))]
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def _package(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def imports_of(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything that is imported anywhere in a module, names inside our packages resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = _package(module).split(".")
            base = ".".join([*above[: len(above) - node.level + 1], node.module or ""]) if node.level else node.module
            base = (base or "").rstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in MODULES or full in OF_THE_REACTOR else base


IMPORTS = {module: tuple(imports_of(module, tree)) for module, tree in TREES.items()}


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def row_of(module: str) -> str:
    """The name in MAY that counts for a module."""
    return max((row for row in MAY if inside(module, row)), key=len, default="")


def is_allowed(module: str, target: str) -> bool:
    """May a module import this name?"""
    if target.partition(".")[0] in sys.stdlib_module_names:
        return True
    row = row_of(module)
    if inside(target, row) and row != "gateway":
        return True
    allowed = MAY[row]
    return any(inside(target, one) for one in allowed) or ("*" in allowed and target.partition(".")[0] in OURS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_row_allows(module: str) -> None:
    assert row_of(module), f"{module} is in no row of the table"
    wrong = [f"line {at}: {name}" for at, name in IMPORTS[module] if not is_allowed(module, name)]
    assert not wrong, f"{module} (row {row_of(module)}) imports {wrong}"


def test_only_entry_points_take_the_global_reactor() -> None:
    found = {module for module, imports in IMPORTS.items() if any(name in REACTOR_ITSELF for _, name in imports)}
    assert found == REACTOR


def test_outside_of_tools_nobody_uses_the_global_reactor_through_a_shortcut() -> None:
    found = {
        module
        for module, imports in IMPORTS.items()
        if not inside(module, "tools") and any(name in OF_THE_REACTOR - REACTOR_ITSELF for _, name in imports)
    }
    assert not found


@pytest.mark.parametrize("module", sorted(m for m in MODULES if any(inside(m, room) for room in PURE)))
def test_a_pure_module_does_no_io_and_reads_no_clock(module: str) -> None:
    imported = {name.partition(".")[0] for _, name in IMPORTS[module]}
    assert not imported & (NOT_PURE | {"twisted"})
    calls = {
        (node.value.id, node.attr)
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not calls & CLOCKS


def test_every_row_of_the_table_is_used() -> None:
    used = {row_of(module) for module in MODULES}
    assert sorted(set(MAY) - used) == []
    reached = {(row_of(module), name) for module, imports in IMPORTS.items() for _, name in imports}
    idle = [
        f"{row}: {one}"
        for row, allowed in MAY.items()
        for one in allowed - PLAIN - {"*"}
        if not any(row == at and inside(name, one) for at, name in reached)
    ]
    assert idle == []
