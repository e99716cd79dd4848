"""`pombo run`: the gateway as twistd would run it, with the log that the configuration asks for on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from config.load import ConfigErrors, load


def run_gateway(path: str, environ: Mapping[str, str]) -> int:
    """Runs until SIGTERM or SIGINT; 1 when the configuration is wrong or the gateway could not start."""
    try:
        config = load(path, environ)
    except ConfigErrors as wrong:
        print("\n".join(wrong.errors), file=sys.stderr)
        return 1
    from gateway.wiring import make_service
    from twisted.internet import reactor as default
    from twisted.internet.defer import maybeDeferred

    from gateway.logs import start_logging

    reactor: Any = default
    failed: list[str] = []
    start_logging(config.log, sys.stdout)
    service = make_service(config, path, reactor)

    def begin() -> None:
        service.privilegedStartService()
        started = maybeDeferred(service.startService)
        started.addErrback(give_up)

    def give_up(failure: Any) -> None:
        failed.append(failure.getErrorMessage())
        print(f"pombo: {failure.getErrorMessage()}", file=sys.stderr)
        if reactor.running:
            reactor.stop()

    def end() -> Any:
        return maybeDeferred(service.stopService) if service.running else None

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", end)
    reactor.run()
    return 1 if failed else 0
