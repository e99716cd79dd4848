"""Commands about one person, by their number: what is known of them, and its erasure."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from tools.node import Node
from tools.terminal import Terminal
from tools.units import counted

WAIT_S = 5.0  # between two orders of one that waits


def export(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo export NUMBER`."""
    print(json.dumps(Node.find(os.environ).export(options.number), ensure_ascii=False, indent=2))
    return 0


def erase(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo erase NUMBER`: 1 when nothing was erased, since messages are under way."""
    node = Node.find(os.environ)
    while True:
        erased, why_not = node.erase(options.number, options.cancel)
        if why_not:
            print(f"pombo: {why_not}", file=sys.stderr)
        for line in erased_lines(erased) if erased else ():
            terminal.line(line)
        over = erased and not erased["waiting"]
        if over or not options.wait:
            return 0 if erased else 1
        time.sleep(WAIT_S)


def erased_lines(erased: dict[str, Any]) -> list[str]:
    """What went, and what is still to go."""
    what = [
        counted(erased["messages"], "message"),
        counted(erased["events"], "event"),
        counted(erased["evidence"], "WhatsApp record"),
        counted(erased["identities"], "hidden identity", "hidden identities"),
    ]
    lines = [f"erased from {', '.join(what)}"]
    for account, waiting in erased["waiting"].items():
        kinds = [counted(waiting["receipts"], "receipt"), counted(waiting["replies"], "reply", "replies")]
        left = " and ".join(kind for kind in kinds if not kind.startswith("0 "))
        lines.append(f"{account} has not acknowledged yet: {left}; order it once more when it has (--wait does)")
    return lines
