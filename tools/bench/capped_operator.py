"""An operator that takes its time over answers and notes when each message came.

    python -m tools.bench.capped_operator --port 2776 --count 9000 --answer-ms 200

Ends when so many have come, and prints {"count": ..., "per_s": ..., "busiest_second": ...}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet import endpoints, task

from tools.smsc_simulator import SmscSettings, SmscSimulator

LOOK_S = 0.2


def busiest_second(times: Sequence[float]) -> int:
    """The most that came within any second, wherever it begins. times: in order."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def rate(times: Sequence[float]) -> float:
    """A second, from the first to the last."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--answer-ms", type=float, default=200.0)
    options = parser.parse_args()
    task.react(lambda reactor: _serve(reactor, options))


def _serve(reactor: Any, options: argparse.Namespace) -> Any:
    twisted: Any = endpoints  # carries no types
    operator = SmscSimulator(SmscSettings(answer_after_s=options.answer_ms / 1000, receipts=False), reactor)
    look = task.LoopingCall(lambda: look.stop() if len(operator.submits) >= options.count else None)

    def told(_: object) -> None:
        times = [submit.at for submit in operator.submits]
        json.dump({"count": len(times), "per_s": rate(times), "busiest_second": busiest_second(times)}, sys.stdout)
        print(flush=True)

    listening = twisted.TCP4ServerEndpoint(reactor, options.port, interface="127.0.0.1").listen(operator)
    listening.addCallback(lambda _: print("listens", flush=True))
    return listening.addCallback(lambda _: look.start(LOOK_S)).addCallback(told)


if __name__ == "__main__":
    main()
