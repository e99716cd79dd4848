"""Commands that need no running node: they read files, or a password."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys

from tools.terminal import Terminal


def check(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo check FILE`."""
    from config.check import check as problems_of

    problems = problems_of(options.file, os.environ)
    for problem in problems:
        print(problem)
    if not problems:
        terminal.line(f"{options.file}: {terminal.paint('ok', 'green')}")
    return 1 if problems else 0


def diff(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo diff A B`: 0 when a node that reads B after A would change nothing, 1 when something would."""
    from config.compare import changes
    from config.load import ConfigErrors, load_as_written

    loaded = []
    for path in (options.before, options.after):
        try:
            loaded.append(load_as_written(path, os.environ))
        except ConfigErrors as wrong:
            print("\n".join(wrong.errors), file=sys.stderr)
    if len(loaded) < 2:
        return 2
    found = changes(loaded[0], loaded[1])
    for change in found:
        terminal.line(
            f"{terminal.paint(change.place, 'bold')}: {change.what} {terminal.paint(f'({change.effect})', 'dim')}"
        )
    if not found:
        terminal.line("nothing would change")
    return 1 if found else 0


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
