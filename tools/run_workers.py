"""`pombo run --workers N`: N gateway processes that are one node together. See docs/workers.md."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config import endpoints
from config.load import ConfigErrors, load_as_written
from config.running import Loaded, after_reload, place_of
from gateway import signals
from gateway.logs import LogWriter, start_logging
from gateway.store.embedded import EmbeddedServer, StoreUnavailable, embedded_of
from gateway.workers.accepting import Sockets
from gateway.workers.board import MOST_WORKERS, Board
from gateway.workers.parent import NO_START, NO_USE, Parent
from gateway.workers.place import Place
from tools.run import serve as run_service

BACKLOG = 50  # connections that nobody has taken yet; Twisted's own


class CannotShare(Exception):
    """An address that several processes cannot listen on; the text says which and why."""


def how_many(text: str) -> int:
    """`--workers`: a number, or auto, which is one for each processor that may be used."""
    if text == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, MOST_WORKERS)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"a number from 1 to {MOST_WORKERS}, or auto")
    return int(text)


def run_workers(path: str, environ: Mapping[str, str], workers: int) -> int:
    """Runs until SIGTERM or SIGINT; 1 when the configuration is wrong, or a worker did not end well."""
    signals.hold_hangup()
    try:
        running = load_as_written(path, environ)
    except ConfigErrors as wrong:
        print("\n".join(wrong.errors), file=sys.stderr)
        return 1
    config, _ = running
    embedded = embedded_of(config.store)
    try:
        if embedded is not None:
            embedded.lock()
            embedded.ensure()
        listeners = open_listeners((*config.smpp_server.listen, *config.http.listen))
    except (StoreUnavailable, CannotShare, OSError) as error:
        print(f"pombo: {error}", file=sys.stderr)
        if embedded is not None:
            embedded.shut_down()
        return 1
    directory = Path(tempfile.mkdtemp(prefix="pombo-workers-"))
    crew = _Crew(running, path, environ, workers, listeners, directory, embedded)
    try:
        return crew.run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if embedded is not None:
            embedded.shut_down()


class _Crew:
    """What all workers have from their parent."""

    def __init__(
        self, running: Loaded, path: str, environ: Mapping[str, str], workers: int,
        listeners: Sockets, directory: Path, embedded: EmbeddedServer | None,
    ) -> None:  # fmt: skip
        self._running, self._path, self._environ, self._workers = running, path, environ, workers
        self._listeners, self._directory, self._embedded = listeners, directory, embedded
        self._board = Board()

    def run(self) -> int:
        config, _ = self._running
        self._log = start_logging(config.log, sys.stdout)
        self._log.who = config.node
        parent = Parent(self._workers, self._work, board=self._board, store=self._embedded, reloaded=self._read_again)
        return parent.run()

    def _read_again(self) -> None:
        """Whoever is started from now on begins with what the workers have read."""
        with contextlib.suppress(ConfigErrors):  # it has become bad since: what was read before holds
            self._running = after_reload(self._running, load_as_written(self._path, self._environ))

    def _work(self, number: int, parent: socket.socket) -> int:
        """One worker, in its own process."""
        store_url = f"unix://{quote(self._embedded.socket)}" if self._embedded is not None else ""
        place = Place(number, self._workers, self._board, self._directory, self._listeners, parent, store_url)
        return serve(self._running, self._path, place, self._log)


def serve(running: Loaded, path: str, place: Place, log: LogWriter) -> int:
    """The gateway as one worker, until SIGTERM. NO_START when it could not start, NO_USE when no worker may go on."""
    from twisted.internet import reactor as default

    from gateway.wiring import make_service

    config, written = running
    log.who = place.node(config.node)
    reactor: Any = default
    service: Any = make_service(config, written, path, reactor, place=place)
    run_service(service, reactor)
    if not service.failed:
        return 0
    return NO_USE if service.of_all else NO_START


def open_listeners(descriptions: Sequence[str]) -> Sockets:
    """The listening sockets of endpoint strings. CannotShare for one that cannot be opened here."""
    opened: dict[tuple[str, ...], socket.socket] = {}
    for description in descriptions:
        try:
            opened[place_of(description)] = _open(description)
        except (OSError, CannotShare) as error:
            for one in opened.values():
                one.close()
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            raise CannotShare(f"cannot listen on {description!r}: {why}") from None
    return opened


def _open(description: str) -> socket.socket:
    asked = endpoints.server(description)
    if asked["kind"] not in ("tcp", "tcp6", "ssl"):
        raise CannotShare("several workers listen on tcp, tcp6 and ssl only")
    interface = asked.get("interface", "")
    sixth = asked["kind"] == "tcp6" or ":" in interface
    listening = socket.socket(socket.AF_INET6 if sixth else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((interface or ("::" if sixth else ""), int(asked["port"])))
        listening.listen(int(asked.get("backlog") or BACKLOG))
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
