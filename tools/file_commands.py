"""Commands that need no running node: they read files, or a password."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence

from tools.node import Node, config_path
from tools.terminal import Terminal


def check(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo check [FILE]`."""
    from config.check import check as problems_of

    options.file = config_path(os.environ, options.file)
    problems = problems_of(options.file, os.environ)
    for problem in problems:
        print(problem)
    if not problems:
        terminal.line(f"{options.file}: {terminal.paint('ok', 'green')}")
    return 1 if problems else 0


def diff(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo diff A B`: 0 when a node that reads B after A would change nothing, 1 when something would. Without A it
    is the node's file, and without both the node itself tells what its file would change."""
    if options.files:
        before = options.files[0] if len(options.files) == 2 else config_path(os.environ)
        found = _between(before, options.files[-1])
    else:
        told, errors = Node.find(os.environ).diff()
        found = None if errors else told
        print("".join(f"{error}\n" for error in errors), end="", file=sys.stderr)
    if found is None:
        return 2
    for line in change_lines(found, terminal):
        terminal.line(line)
    if not found:
        terminal.line("nothing would change")
    return 1 if found else 0


def change_lines(changes: Sequence[Mapping[str, str]], terminal: Terminal) -> list[str]:
    """One line for each change: where, what, and when or at what cost."""
    styles = {"end": "red", "anew": "yellow", "start": "yellow"}
    lines = []
    for one in changes:
        style = next((styles[word] for word in one["effect"].split() if word in styles), "dim")
        lines.append(
            f"{terminal.paint(one['place'], 'bold')}: {one['what']} {terminal.paint('(' + one['effect'] + ')', style)}"
        )
    return lines


def _between(before: str, after: str) -> list[dict[str, str]] | None:
    """What would change from one file to another; None, and it is told why, when one of them cannot be used."""
    from config.compare import changes
    from config.load import ConfigErrors, load_as_written

    loaded = []
    for path in (before, after):
        try:
            loaded.append(load_as_written(path, os.environ))
        except ConfigErrors as wrong:
            print("\n".join(wrong.errors), file=sys.stderr)
    if len(loaded) < 2:
        return None
    return [{"place": one.place, "what": one.what, "effect": one.effect} for one in changes(loaded[0], loaded[1])]


def schema(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo schema`: the JSON Schema of a configuration file, for editors."""
    from config.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


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
