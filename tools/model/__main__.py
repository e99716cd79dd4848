"""Can a message be lost, end twice or wait for ever? Every order of steps is tried, on a model of its life.

    python -m tools.model                  what the suite tries, some seconds
    python -m tools.model --deep           more of everything at once, about twenty minutes
    python -m tools.model --only "die"     those whose name has the word

The model is one message on a route over WhatsApp and an operator. What is decided about it, gateway/routing decides;
around it there are the store as the scripts make it, one or two gateways whose calls may be cut off anywhere, channels,
a billing system and time. Exit status 1 tells that a promise can be broken, and the shortest story of it is printed.
"""

from __future__ import annotations

import argparse
import sys
import time

from tools.model.scenarios import DEEP, SMALL
from tools.model.search import search


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.model", description=__doc__.splitlines()[0])
    parser.add_argument("--deep", action="store_true", help="the larger searches as well")
    parser.add_argument("--only", default="", metavar="WORD", help="those whose name has the word, large ones too")
    chosen = parser.parse_args(arguments)
    rows = SMALL | (DEEP if chosen.deep or chosen.only else {})
    wrong = 0
    for name, row in rows.items():
        if chosen.only not in name:
            continue
        began = time.monotonic()
        found = search(**row)
        print(
            f"{name:50} {found.worlds:>9} worlds {found.steps:>9} steps {time.monotonic() - began:7.1f} s", flush=True
        )
        if found.broken:
            wrong += 1
            print(f"  BROKEN: {found.broken}")
            for step in found.story:
                print(f"    {step}")
    print("every promise is kept" if not wrong else f"{wrong} of the searches found a promise broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
