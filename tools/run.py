"""`pombo run`: the gateway as twistd would run it, with the log that the configuration asks for on standard output."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import Any

from config.load import ConfigErrors, load_as_written
from gateway import signals


def run_gateway(path: str, environ: Mapping[str, str]) -> int:
    """Runs until SIGTERM or SIGINT; 1 when the configuration is wrong or the gateway could not start."""
    gc.disable()  # as twistd.tac does
    signals.hold_hangup()
    try:
        config, written = load_as_written(path, environ)
    except ConfigErrors as wrong:
        print("\n".join(wrong.errors), file=sys.stderr)
        return 1
    from gateway.store.embedded import embedded_of

    embedded = embedded_of(config.store)
    if embedded is not None:
        embedded.begin()
    from twisted.internet import reactor as default

    from gateway.logs import start_logging
    from gateway.wiring import make_service

    reactor: Any = default
    start_logging(config.log, sys.stdout)
    service: Any = make_service(config, written, path, reactor, embedded)
    gc.enable()
    serve(service, reactor)
    return 1 if service.failed else 0


def serve(service: Any, reactor: Any) -> None:
    """Run a service until SIGTERM or SIGINT, or until it stops the reactor itself."""
    from twisted.internet.defer import maybeDeferred  # not before the reactor is there

    def begin() -> None:
        signals.stop_once(reactor)
        service.privilegedStartService()
        service.startService()  # logs why it cannot start, then stops the reactor

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: maybeDeferred(service.stopService))
    reactor.run()
