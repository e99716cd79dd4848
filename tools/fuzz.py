"""Coverage-guided fuzzing of everything that reads what a peer wrote: python -m tools.fuzz TARGET --seconds 60.

Needs atheris, which `make test` does without: .venv/bin/python -m pip install --editable '.[fuzz]'. What was learned of
the input is kept in --corpus. A finding ends the run, is written there as crash-*, timeout-* or oom-*, and is played
again with --play.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

INSTRUMENTED = ("gateway.smpp", "gateway.messages", "gateway.server", "bridge", "smsc_client")
LARGEST_INPUT = {"session_server": 600, "session_client": 600, "webhooks": 4_000}  # octets; others: 400
SLOW_S, MOST_MIB = 60, 1024


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", help="what to fuzz, or list")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--corpus", type=Path, default=Path("var/fuzz"), help="directory (default: var/fuzz)")
    parser.add_argument("--play", type=Path, metavar="FILE", help="run one input instead, without a fuzzer")
    given = parser.parse_args(arguments)
    if given.play is not None or given.target == "list":
        return _without_fuzzer(given.target, given.play)
    return _fuzz(given.target, given.seconds, given.corpus)


def _without_fuzzer(target: str, path: Path | None) -> int:
    from tools.fuzz_targets import TARGETS

    if path is None:
        print("\n".join(f"{name:16}{run.__doc__}" for name, run in TARGETS.items()))
        return 0
    if target not in TARGETS:
        return _unknown(target, TARGETS)
    TARGETS[target](path.read_bytes())
    print("nothing happens")
    return 0


def _fuzz(target: str, seconds: int, corpus: Path) -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is missing: pip install --editable '.[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        from tools.fuzz_targets import TARGETS, seeds
    if target not in TARGETS:
        return _unknown(target, TARGETS)
    known, findings = corpus / target / "corpus", corpus / target / "findings"
    for directory in (known, findings):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (known / f"seed-{number:03}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}", f"-max_len={LARGEST_INPUT.get(target, 400)}", f"-timeout={SLOW_S}",
        f"-rss_limit_mb={MOST_MIB}", f"-artifact_prefix={findings}/", "-print_final_stats=1", str(known),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], TARGETS[target])
    atheris.Fuzz()  # ends the process
    return 0


def _unknown(target: str, targets: Iterable[str]) -> int:
    print(f"no target {target!r}; there are: {', '.join(targets)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
