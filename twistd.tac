"""The gateway under twistd: `twistd -ny twistd.tac`. POMBO_CONFIG names the configuration."""

import atexit
import gc
import os
import sys

gc.disable()  # nothing that is loaded goes again: looking for cycles meanwhile takes a tenth of the start

from twisted.application.service import Application
from twisted.internet import reactor
from twisted.logger import ILogObserver

from config.load import ConfigErrors, load_as_written
from gateway import signals
from gateway.store.embedded import embedded_of

signals.hold_hangup()
path = os.environ.get("POMBO_CONFIG") or "config/pombo.yaml"
try:
    config, written = load_as_written(path, os.environ)
except ConfigErrors as wrong:
    print("\n".join(wrong.errors), file=sys.stderr)
    raise SystemExit(1) from None

embedded = embedded_of(config.store)
if embedded is not None:
    embedded.begin()  # the store comes up while the rest is loaded

from gateway.logs import LogWriter
from gateway.wiring import make_service

application = Application("pombo")
application.setComponent(ILogObserver, LogWriter(config.log, sys.stdout))
node = make_service(config, written, path, reactor, embedded)
node.setServiceParent(application)
gc.enable()

reactor.callWhenRunning(signals.stop_once, reactor)
atexit.register(lambda: node.failed and os._exit(1))  # twistd itself ends with 0 although nothing could start
