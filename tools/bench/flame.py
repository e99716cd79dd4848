"""Where a saturated gateway spends its time, as a flame graph.

    python -m tools.bench.flame docs/sms-path.svg

py-spy looks at the gateway's stack while the load tool saturates the SMS path, and draws what it saw: the wider a
function, the more time in it and in what it calls.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.bench import configurations as made
from tools.bench.loadtool import LARGE, LoadError, LoadTool, NoTool, find_source
from tools.bench.stage import Stage

LOOKS_A_SECOND = 400
TITLE = "Pombo: the gateway's thread while the SMS path is saturated"
COUNT = 120_000  # messages; the first ones and the last ones are not looked at
WARM_S, SECONDS = 2.0, 8


def record(stage: Stage, spy: str, target: Path) -> None:
    """Saturate the gateway and draw. LoadError where py-spy or the load fails."""
    load = stage.load(COUNT, *LARGE)
    try:
        load.process.wait(WARM_S)
        raise LoadError(f"the load was over within {WARM_S:g} s")
    except subprocess.TimeoutExpired:
        pass
    command = [spy, "record", "--pid", str(stage.gateway.pid), "--duration", str(SECONDS)]
    command += ["--rate", str(LOOKS_A_SECOND), "--function", "--format", "flamegraph", "--output", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LoadError(f"py-spy failed: {done.stderr.strip()[-300:]}")
    target.write_text(entitled(target.read_text("utf-8")), "utf-8")
    load.wait()


def entitled(graph: str) -> str:
    """Under a title of its own, where py-spy puts its whole command with the paths of this machine."""
    return re.sub(r'(<text id="title"[^>]*>)[^<]*', rf"\g<1>{TITLE}", graph)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tools.bench.flame", description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, metavar="FILE", help="the SVG to write")
    parser.add_argument("--tool", metavar="PATH", help="smppbench.c")
    options = parser.parse_args(words)
    beside = Path(sys.executable).with_name("py-spy")
    spy = str(beside) if beside.exists() else shutil.which("py-spy")
    if spy is None:
        print("flame: py-spy is missing; `make flame` installs it", file=sys.stderr)
        return 2
    workshop = Path(tempfile.mkdtemp(prefix="pombo-bench-"))
    try:
        tool = LoadTool.build(find_source(options.tool, os.environ), workshop, os.environ)
        with Stage(tool, Path("/tmp"), made.plain) as stage:
            record(stage, spy, options.target)
    except (LoadError, NoTool) as error:
        print(f"flame: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    print(f"written to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
