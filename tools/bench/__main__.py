"""python -m tools.bench: see the package."""

from __future__ import annotations

import argparse
import functools
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import msgspec
import requests

import tools.bench as package
from tools.bench import machine, page, scenes, scenes_beside, scenes_growing, table
from tools.bench.loadtool import USUAL, VARIABLE, LoadError, LoadTool, NoTool, find_source
from tools.bench.rows import ROWS, chosen, smaller, wrong
from tools.bench.scenes import FULL, QUICK, Bench, Scene
from tools.gateway_process import CHECKOUT

PAGE = CHECKOUT / "docs" / "performance.md"
FILES = 65_536
SCENES = (*scenes.SCENES, *scenes_beside.SCENES, *scenes_growing.SCENES)
Tell = Callable[[str], None]


def play(bench: Bench, scenes: Sequence[Scene], tell: Tell) -> tuple[list[table.Round], dict[str, str]]:
    """The rounds, and why a scene failed where one did; a scene that failed is not played again."""
    rounds: list[table.Round] = []
    why: dict[str, str] = {}
    for n in range(bench.sizes.rounds):
        figures: dict[str, table.Figures] = {}
        for scene in scenes:
            if n >= scene.most_rounds or scene.name in why:
                continue
            began = time.monotonic()
            try:
                figures[scene.name] = scene.play(bench)
            except (LoadError, OSError, ArithmeticError, LookupError, requests.RequestException) as error:
                why[scene.name] = f"{type(error).__name__}: {error}"
                tell(f"round {n + 1}  {scene.name:<10} failed: {why[scene.name]}")
                continue
            tell(f"round {n + 1}  {scene.name:<10} {time.monotonic() - began:4.0f} s  {_words(figures[scene.name])}")
        rounds.append(figures)
    return rounds, why


def _words(figures: table.Figures) -> str:
    shown = ("T", "answers_per_s", "receipts_per_s", "answer_p99_ms", "cpu_us", "wrong")
    told = [name for name in shown if name in figures] or list(figures)
    return "  ".join(f"{name} {figures[name]:,.0f}" for name in told)


def parser() -> argparse.ArgumentParser:
    usual = os.path.relpath(USUAL, CHECKOUT)
    parser = argparse.ArgumentParser(
        "python -m tools.bench", description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round with less of everything; writes no page")
    parser.add_argument("--rows", metavar="NAME,...", help=f"only these of {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds")
    parser.add_argument("--tool", metavar="PATH", help=f"smppbench.c; else {VARIABLE}, else {usual}")
    parser.add_argument("--room", type=Path, metavar="DIR", help="where stores are written; default: /tmp")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """0: everything was measured and no message was lost or doubled. 1: not. 2: it could not be begun."""
    parsing = parser()
    options = parsing.parse_args(words)
    sizes = QUICK if options.quick else FULL
    sizes = msgspec.structs.replace(sizes, rounds=options.rounds or sizes.rounds)
    room = options.room or Path("/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir())
    workshop = Path(tempfile.mkdtemp(prefix="pombo-bench-"))
    try:
        rows = chosen(options.rows)
        tool = LoadTool.build(find_source(options.tool, os.environ), workshop, os.environ)
        _allow_files()
        results, intact = measure(Bench(tool, room, sizes), rows, functools.partial(print, flush=True))
    except (ValueError, NoTool) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    facts = machine.facts(room)
    print("", table.text_table(results), "", *(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    if machine.file_system(room) in machine.IN_MEMORY:
        print(f"{room} is in memory, where fsync costs nothing; --room DIR names a place on a disk")
    if sizes == FULL and rows == ROWS:
        PAGE.write_text(page.with_section(PAGE.read_text("utf-8"), page.section(results, facts, _today())), "utf-8")
        print(f"written into {PAGE.relative_to(CHECKOUT)}")
    return 0 if intact and all(result.values for result in results) else 1


def measure(bench: Bench, rows: Sequence[table.Row], tell: Tell) -> tuple[list[table.Result], bool]:
    """Play the scenes the rows are made of, and make them. True: no message was lost, doubled or refused."""
    wanted = {scene for row in rows for scene in row.scenes}
    rounds, why = play(bench, [scene for scene in SCENES if scene.name in wanted], tell)
    results = [table.result(row, rounds, why, smaller(row, bench.sizes)) for row in rows]
    return results, not any(map(wrong, rounds))


def _today() -> str:
    return date.today().strftime("%-d %B %Y")


def _allow_files() -> None:
    """For a thousand sessions, also in what is started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if __name__ == "__main__":
    sys.exit(main())
