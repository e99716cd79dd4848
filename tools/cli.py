"""The command `pombo`. Exit status: 0 done, 1 the answer is no, 2 the command or the node is not usable."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tools import drafts, journey
from tools.node import DEFAULT_CONFIG, Node, NodeError, config_path, store_settings
from tools.terminal import Terminal, table
from tools.units import age, since

POLL_S = 0.2
Command = Callable[[argparse.Namespace, Terminal], int]


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="pombo",
        description="SMPP gateway and SMS centre with a WhatsApp bridge.",
        epilog=f"Commands find the node through POMBO_CONFIG (default: {DEFAULT_CONFIG}).",
    )
    top.add_argument("--version", action="version", version=f"pombo {_version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        one.set_defaults(run=run)
        return one

    add("check", check, "check a configuration file").add_argument("file", metavar="FILE")
    add("run", run, "run the gateway").add_argument("file", metavar="FILE", nargs="?")
    one = add("trace", trace, "print every event of a message, or of the last messages of a number")
    one.add_argument("what", metavar="ID_OR_NUMBER")
    one.add_argument("--limit", type=int, default=10, help="messages of a number (%(default)s)")
    add("status", status, "print binds, channels, queues and pending receipts").add_argument(
        "--json", action="store_true"
    )
    one = add("unmatched", unmatched, "print the shapes of texts that no template stands for, each with a draft")
    one.add_argument("--limit", type=int, default=10, help="how many, commonest first (%(default)s)")
    one.add_argument("--json", action="store_true")
    one = add("send", send, "send one message through the whole path and wait for its final state")
    one.add_argument("--account", required=True, metavar="A")
    one.add_argument("--to", required=True, metavar="N")
    one.add_argument("--from", dest="source", metavar="F", help="source address (default: the account's)")
    one.add_argument("--priority", choices=("high", "normal", "low"))
    one.add_argument("--validity", metavar="T", help="how long it may take, such as 10m")
    one.add_argument("text", metavar="TEXT")
    add("hash", hash_, "make a password_hash of a password read from a prompt or standard input")
    one = add("events", events, "print the event feed as JSON lines")
    one.add_argument("--follow", action="store_true", help="go on with what happens")
    one.add_argument("--since", metavar="T", help="an age such as 10m, or a moment such as 2026-11-21T10:00 (UTC)")
    one.add_argument("--account", default="", metavar="A", help="of one account only")
    add("simulate", simulate, "run a part of the laboratory: smsc, whatsapp or esme")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `pombo`; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _simulate_options(words[1:]) if words[:1] == ["simulate"] else parser().parse_args(words)
    terminal = Terminal(sys.stdout)
    try:
        command: Command = options.run
        return command(options, terminal)
    except NodeError as error:
        print(f"pombo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _version() -> str:
    try:
        return version("pombo")
    except PackageNotFoundError:
        return "(not installed)"


# ---- without a node


def check(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo check FILE`."""
    from config.check import check as problems_of

    problems = problems_of(options.file, os.environ)
    for problem in problems:
        print(problem)
    if not problems:
        terminal.line(f"{options.file}: {terminal.paint('ok', 'green')}")
    return 1 if problems else 0


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo run [FILE]`."""
    from tools.run import run_gateway

    return run_gateway(config_path(os.environ, options.file), os.environ)


def hash_(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo hash`: from a prompt on a terminal, else the first line of standard input."""
    from config.secrets import hash_password

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            print("pombo: the two are not the same", file=sys.stderr)
            return 1
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        print("pombo: no password was given", file=sys.stderr)
        return 1
    print(hash_password(password))
    return 0


def simulate(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo simulate ...`: see tools.laboratory, which loads Twisted and is therefore imported only now."""
    from tools import laboratory

    return laboratory.simulate(options, terminal)


def _simulate_options(words: Sequence[str]) -> argparse.Namespace:
    from tools import laboratory

    own = argparse.ArgumentParser(prog="pombo simulate")
    laboratory.add_arguments(own)
    own.set_defaults(run=simulate)
    return own.parse_args(words)


# ---- about a running node


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
    """`pombo status`."""
    found = Node.find(os.environ).status()
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    for line in status_lines(found, terminal, time.time()):
        terminal.line(line)
    return 0


def status_lines(found: dict[str, Any], terminal: Terminal, now: float) -> list[str]:
    """The answer of /admin/status as tables."""
    from tools.units import epoch

    lines = [f"node {terminal.paint(str(found['node']), 'bold')}", ""]
    binds_rows: list[Sequence[str]] = []
    for account in found["accounts"]:
        binds = account["binds"] or [None]
        for place, bind in enumerate(binds):
            binds_rows.append(
                (
                    str(account["system_id"]) if place == 0 else "",
                    str(bind["type"]) if bind else terminal.paint("not bound", "dim"),
                    str(bind["peer"]) if bind else "",
                    age(now - epoch(bind["since"])) if bind else "",
                    str(account["receipts_pending"]) if place == 0 else "",
                )
            )
    lines += table(("ACCOUNT", "BIND", "PEER", "FOR", "RECEIPTS PENDING"), binds_rows, frozenset({3, 4}))
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
    return lines


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
    kinds, seen = _kinds(node), 0
    terminal.line(f"{terminal.paint(message_id, 'bold')}  {options.account} {terminal.arrow} {options.to}")
    while True:
        message = node.message(message_id)
        if message is not None:
            for line in journey.event_lines(message, terminal, kinds, seen):
                terminal.line(line)
            seen = len(message["events"])
            if message["state"] in journey.FINAL:
                terminal.line(journey.closing(message, terminal, kinds, _currency()))
                return 0 if message["state"] == "delivered" else 1
        time.sleep(POLL_S)


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


if __name__ == "__main__":
    sys.exit(main())
