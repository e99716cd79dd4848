"""Commands about a running node, which is asked over HTTP; the feed is read from its store."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tools import drafts, journey
from tools.file_commands import change_lines
from tools.node import Node, NodeError, config_path, store_settings
from tools.terminal import Terminal, clip, table
from tools.units import age, epoch, since

POLL_S = 0.2
QUIET_POLLS = 15  # without news, before `pombo send` says what it waits for


def _kinds(node: Node) -> dict[str, str]:
    """Channel name -> smsc | whatsapp."""
    return {str(channel["name"]): str(channel["kind"]) for channel in node.status()["channels"]}


def _currency() -> str:
    """The configured currency, where the file can be read."""
    import yaml

    try:
        with open(config_path(os.environ), encoding="utf-8") as stream:
            return str(yaml.safe_load(stream).get("currency", "BRL"))
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return "BRL"


def trace(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo trace ID_OR_NUMBER`: as an id first, then as a number, oldest message first."""
    node = Node.find(os.environ)
    message = node.message(options.what)
    found = [message] if message is not None else node.messages(options.what, options.limit)[::-1]
    if not found:
        print(f"pombo: the node knows no message with this id, nor for this number: {options.what}", file=sys.stderr)
        return 1
    kinds, currency = _kinds(node), _currency()
    for place, one in enumerate(found):
        if place:
            terminal.line()
        for line in journey.trace(one, terminal, kinds, currency):
            terminal.line(line)
    return 0


def status(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo status`; with --watch until it is interrupted, and also while the node is away."""
    node = Node.find(os.environ)
    while options.watch:
        try:
            lines = status_lines(node.status(), terminal, time.time())
        except NodeError as error:
            lines = [terminal.paint(str(error), "red")]
        if terminal.live:
            terminal.region(lines)
        else:
            terminal.line("\n".join([*lines, ""]))
        time.sleep(options.every)
    found = node.status()
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    for line in status_lines(found, terminal, time.time()):
        terminal.line(clip(line, terminal.width) if terminal.live else line)
    return 0


def _workers(workers: Sequence[Mapping[str, Any]]) -> str:
    """Of how many processes it is, where it is several."""
    silent = sum(not worker["answers"] for worker in workers)
    return f", {len(workers)} workers{f', {silent} of them silent' if silent else ''}" if workers else ""


def status_lines(found: dict[str, Any], terminal: Terminal, now: float) -> list[str]:
    """The answer of /admin/status as tables."""
    lines = [f"node {terminal.paint(str(found['node']), 'bold')}{_workers(found.get('workers', []))}", ""]
    if found.get("dry_run"):
        lines.insert(1, terminal.paint("dry run: everything is accepted and nothing is sent", "yellow", "bold"))
    for what, why in found.get("not_ready", {}).items():
        lines.insert(-1, terminal.paint(f"not ready: {what}: {why}", "red", "bold"))
    binds_rows: list[Sequence[str]] = []
    for account in found["accounts"]:
        name, pending = str(account["system_id"]), str(account["receipts_pending"])
        for bind, peer, since_at in _alike(account["binds"]) or [(terminal.paint("not bound", "dim"), "", now)]:
            binds_rows.append((name, bind, peer, age(now - since_at) if peer else "", pending))
            name = pending = ""
    lines += table(("ACCOUNT", "BIND", "PEER", "FOR", "RECEIPTS"), binds_rows, frozenset({3, 4}))
    lines.append("")
    rows: list[Sequence[str]] = []
    for channel in found["channels"]:
        up = terminal.paint("up", "green") if channel["up"] else terminal.paint("down", "red")
        if channel.get("quarantined"):
            up = terminal.paint("quarantined", "yellow")
        rows.append(
            (
                str(channel["name"]),
                str(channel["kind"]),
                up,
                str(channel.get("binds", "")),
                str(channel["queue"]),
                age(float(channel["oldest_seconds"])) if channel["queue"] else "",
                str(channel["inflight"]),
            )
        )
    lines += table(("CHANNEL", "KIND", "STATE", "BINDS", "QUEUE", "OLDEST", "IN FLIGHT"), rows, frozenset({3, 4, 5, 6}))
    senders = [
        (str(channel["name"]), sender)
        for channel in found["channels"]
        for sender in channel.get("senders", ())
        if len(channel["senders"]) > 1
    ]
    return [*lines, "", *_sender_lines(senders, terminal, now)] if senders else lines


def _sender_lines(senders: Sequence[tuple[str, Mapping[str, Any]]], terminal: Terminal, now: float) -> list[str]:
    """Those of channels that have several. For: how long it has been up, or not."""
    rows = []
    for channel, one in senders:
        colour = "green" if one["up"] else "yellow" if one["quarantined"] else "red"
        left = one["left_today"]
        rows.append(
            (
                str(one["name"]),
                channel,
                terminal.paint(str(one["state"]), colour),
                age(now - epoch(one["since"])),
                str(one["inflight"]),
                "" if left is None else str(left),
            )
        )
    return table(("SENDER", "CHANNEL", "STATE", "FOR", "IN FLIGHT", "LEFT TODAY"), rows, frozenset({3, 4, 5}))


def _alike(binds: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    """(type, peer, since) of an account's binds, those of one type from one host in one, the oldest first."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for bind in sorted(binds, key=lambda one: epoch(one["since"])):
        groups.setdefault((str(bind["type"]), str(bind["peer"]).rpartition(":")[0] or str(bind["peer"])), []).append(
            bind
        )
    return [
        (kind if len(some) == 1 else f"{kind} x{len(some)}", str(some[0]["peer"]) if len(some) == 1 else host,
         epoch(some[0]["since"]))
        for (kind, host), some in groups.items()
    ]  # fmt: skip


def unmatched(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo unmatched`: 0 also when there is nothing to show."""
    found = Node.find(os.environ).unmatched(options.limit)
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    if not found:
        terminal.line("every text that a template was needed for had one")
    for place, one in enumerate(found):
        for line in (*([""] if place else []), *drafts.lines(one, terminal)):
            terminal.line(line)
    return 0


def send(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo send`: prints the journey while it happens; 0 only when the message was delivered."""
    node = Node.find(os.environ)
    fields = {"account": options.account, "to": options.to, "text": options.text}
    given = {"from": options.source, "priority": options.priority, "validity": options.validity}
    message_id, why_not = node.send(**fields, **{name: value for name, value in given.items() if value is not None})
    if not message_id:
        print(f"pombo: not accepted: {why_not}", file=sys.stderr)
        return 1
    kinds, seen, quiet = _kinds(node), 0, 0
    terminal.line(f"{terminal.paint(message_id, 'bold')}  {options.account} {terminal.arrow} {options.to}")
    while True:
        message = node.message(message_id)
        if message is not None:
            for line in journey.event_lines(message, terminal, kinds, seen):
                terminal.line(line)
            quiet = quiet + 1 if seen == len(message["events"]) else 0
            seen = len(message["events"])
            if message["state"] in journey.FINAL:
                terminal.line(journey.closing(message, terminal, kinds, _currency()))
                return 0 if message["state"] == "delivered" else 1
            if quiet == QUIET_POLLS:
                terminal.line("  " + terminal.paint(waiting_for(message, node.status()), "dim"))
        time.sleep(POLL_S)


def waiting_for(message: dict[str, Any], found: dict[str, Any]) -> str:
    """Why nothing happens to a message: what its channel is like."""
    name = str(message.get("channel") or "")
    up = {str(channel["name"]): bool(channel["up"]) for channel in found["channels"]}
    what = "is down: see the log" if not up.get(name, True) else "has said nothing yet"
    return f"{name or 'it'} {what}. It goes on without this command; Ctrl-C leaves it, `pombo trace` tells the end"


def events(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo events`: one JSON object a line, `at` in ISO 8601 UTC."""
    from tools import feed

    try:
        since_at = since(options.since, time.time()) if options.since else 0.0
    except argparse.ArgumentTypeError as error:
        raise NodeError(f"--since: {error}") from None
    client = feed.connect(store_settings(os.environ))
    for event in feed.events(client, since_at=since_at, account=options.account, follow=options.follow):
        if isinstance(event["at"], (int, float)):
            moment = datetime.fromtimestamp(event["at"], UTC).isoformat(timespec="milliseconds")
            event["at"] = moment.replace("+00:00", "Z")
        print(json.dumps(event, ensure_ascii=False), flush=options.follow)
    return 0


def reload(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo reload`: 1 when the file is wrong, which changes nothing."""
    node = Node.find(os.environ)
    told, _ = node.diff()
    changed, errors = node.reload()
    for error in errors:
        print(error, file=sys.stderr)
    if errors:
        return 1
    for line in change_lines(told, terminal):
        terminal.line(line)
    terminal.line(f"reloaded: {', '.join(changed) or 'nothing that counts before the next start has changed'}"
                  if told or changed else "reloaded: nothing has changed")  # fmt: skip
    return 0


def config_(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo config export`: the configuration that the node runs with, its secrets as references."""
    text, secrets = Node.find(os.environ).config()
    print(text, end="")
    if secrets:
        print(f"pombo: set in the environment before it is used: {', '.join(secrets)}", file=sys.stderr)
    return 0


def receipts(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo receipts pending`, `pombo receipts resend`."""
    node = Node.find(os.environ)
    if options.what == "pending":
        rows = [(str(one["system_id"]), str(one["receipts_pending"]), str(len(one["binds"])))
                for one in node.status()["accounts"]]  # fmt: skip
        for line in table(("ACCOUNT", "RECEIPTS PENDING", "BINDS"), rows, frozenset({1, 2})):
            terminal.line(line)
        return 0
    try:
        since_at = since(options.since, time.time())
    except argparse.ArgumentTypeError as error:
        raise NodeError(f"--since: {error}") from None
    queued, why_not = node.resend_receipts(options.account, since_at)
    if why_not:
        print(f"pombo: {why_not}", file=sys.stderr)
        return 1
    terminal.line(f"{queued} {'receipt goes' if queued == 1 else 'receipts go'} to {options.account} again")
    return 0
