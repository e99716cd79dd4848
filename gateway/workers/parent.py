"""The parent of the workers: starts them, starts again who dies, passes signals on, looks after the embedded store. It
has no reactor and touches no message; what it has opened before the first fork, all workers have."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from twisted.logger import Logger

from gateway import notify, signals
from gateway.store.embedded import GAVE_UP, EmbeddedServer, StoreUnavailable
from gateway.workers.board import Board

LOOK_S = 0.5
STOP_S = 15.0  # for a worker to end; it takes less than 10 by itself
AGAIN_S = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)  # after the first, second ... death in a row
WELL_S = 60.0  # a worker that has lived for so long did not die in a row with the one before
NO_USE = 3  # exit status of a worker that must not go on, nor any other: all end
NO_START = 4  # of one that cannot start: all end, unless they have been ready before; then it is tried again
BROKEN = 70  # of one that an error of ours has ended
Work = Callable[[int, socket.socket], int]
"""work(number, stream to the parent): what a worker does, in a process of its own; its exit status."""
log = Logger("workers")


class _Worker:
    """One of the workers, through all its lives."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0  # 0: it does not live
        self.link: socket.socket | None = None
        self.began_at = self.due_at = 0.0
        self.deaths = 0  # in a row
        self.ready = self.stale = False  # stale: the configuration has been read again since it was started
        self.words = b""


class Parent:
    """`run` returns when all workers have ended."""

    def __init__(
        self, workers: int, work: Work, *, board: Board, store: EmbeddedServer | None, reloaded: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """store: looked after, where there is one; it is started already. reloaded(): a worker has read the
        configuration again."""
        self._workers = [_Worker(number) for number in range(1, workers + 1)]
        self._work, self._board, self._store, self._reloaded, self._clock = work, board, store, reloaded, clock
        self._selector = selectors.DefaultSelector()
        self._ear: socket.socket | None = None  # of signals
        self._stopping_since = self._looked_at = self._store_began = 0.0
        self._store_said = self._gave_up = ""
        self._told = False
        self.status = 0

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the worst exit status of the workers: 0 or 1."""
        with self._signals():
            for worker in self._workers:
                self._start(worker)
            while not self.over:
                self.step(LOOK_S)
        return self.status

    @property
    def over(self) -> bool:
        return bool(self._stopping_since) and not any(worker.pid for worker in self._workers)

    @property
    def pids(self) -> dict[int, int]:
        """The processes of those that live, by number."""
        return {worker.number: worker.pid for worker in self._workers if worker.pid}

    def step(self, timeout: float) -> None:
        """Wait for something to happen, no longer than `timeout` seconds, and do what follows from it."""
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, _Worker):
                self._hear(key.data)
            else:
                self._take_signals()
        for worker in self._workers:
            self._look_after(worker)
        if self._store is not None and not self._stopping_since:
            self._look_after_store()
        self._tell_when_ready()

    def stop(self) -> None:
        """All workers end in good order."""
        if self._stopping_since:
            return
        self._stopping_since = self._clock()
        notify.tell(notify.STOPPING)
        self._pass_on(signal.SIGTERM)

    # -- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals come as octets into the selector."""
        ear, voice = socket.socketpair()
        ear.setblocking(False)
        voice.setblocking(False)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(voice.fileno(), warn_on_full_buffer=False)
        self._ear = ear
        self._selector.register(ear, selectors.EVENT_READ)
        signals.release_hangup()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            self._selector.unregister(ear)
            for number, handler in before.items():
                signal.signal(number, handler)
            ear.close()
            voice.close()

    def _take_signals(self) -> None:
        assert self._ear is not None
        numbers = set(self._ear.recv(4096))
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self.stop()
        elif signal.SIGHUP in numbers:
            self._outdate()
            self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: int) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    def _outdate(self) -> None:
        """Who is just being started has begun with an older configuration: it reads again once it can."""
        for worker in self._workers:
            worker.stale = worker.stale or (bool(worker.pid) and not worker.ready)

    # -- workers

    def _start(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            log.error("worker {number} cannot be started: {why}", number=worker.number, why=error.strerror)
            worker.due_at = self._clock() + AGAIN_S[-1]
            return
        if not pid:
            ours.close()
            self._be(worker.number, theirs)
        theirs.close()
        ours.setblocking(False)
        worker.pid, worker.link, worker.began_at = pid, ours, self._clock()
        worker.ready, worker.stale, worker.words = False, False, b""
        self._selector.register(ours, selectors.EVENT_READ, worker)
        self._tell_of_store(worker)

    def _be(self, number: int, theirs: socket.socket) -> NoReturn:
        """The rest of a worker's life. What belongs to the parent alone is let go."""
        status = BROKEN
        try:
            os.setsid()  # Ctrl-C at a terminal is for the parent
            signal.set_wakeup_fd(-1)
            for one in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(one, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it has something to read again
            for worker in self._workers:
                if worker.link is not None:
                    worker.link.close()
            self._selector.close()
            status = self._work(number, theirs)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _hear(self, worker: _Worker) -> None:
        """It is ready, or has read the configuration again; or it is about to be gone."""
        assert worker.link is not None
        try:
            octets = worker.link.recv(4096)
        except OSError:
            octets = b""
        if not octets:
            self._selector.unregister(worker.link)
            worker.link.close()
            worker.link = None
            return
        *words, worker.words = (worker.words + octets).split(b"\n")
        for word in words:
            if word == b"ready":
                worker.ready = True
                if worker.stale:
                    worker.stale = False
                    os.kill(worker.pid, signal.SIGHUP)
            elif word == b"reloaded":
                self._reloaded()
                self._outdate()

    def _look_after(self, worker: _Worker) -> None:
        now = self._clock()
        if worker.pid:
            pid, how = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._ended(worker, os.waitstatus_to_exitcode(how), now)
            elif self._stopping_since and now - self._stopping_since > STOP_S:
                log.error("worker {number} does not end; it is killed", number=worker.number)
                os.kill(worker.pid, signal.SIGKILL)
        elif not self._stopping_since and now >= worker.due_at:
            self._start(worker)

    def _ended(self, worker: _Worker, status: int, now: float) -> None:
        worker.pid = 0
        if worker.link is not None:
            self._selector.unregister(worker.link)
            worker.link.close()
            worker.link = None
        self._board.clear(worker.number)
        if self._stopping_since:
            quiet = status == 0 or (status == -signal.SIGTERM and not worker.ready)  # it had not begun yet
            self.status = self.status if quiet else 1
            return
        if status == NO_USE or (status == NO_START and not self._told):
            log.critical("worker {number} cannot go on; all end", number=worker.number)
            self.status = 1
            self.stop()
            return
        worker.deaths = 1 if now - worker.began_at > WELL_S else worker.deaths + 1
        wait = AGAIN_S[min(worker.deaths, len(AGAIN_S)) - 1]
        worker.due_at = now + wait
        how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        how = "could not start" if status == NO_START else how
        log.error("worker {number} {how}; it is started again in {wait:g} s", number=worker.number, how=how, wait=wait)

    def _tell_when_ready(self) -> None:
        if not self._told and all(worker.ready for worker in self._workers):
            self._told = True
            notify.tell(notify.READY)
            log.info("{workers} workers are ready", workers=len(self._workers))
            if self._store is not None and (cut := self._store.cut_off()):
                self._say_of_store(f"its file could not be read to its end: {cut} octets are gone (docs/backup.md)")

    # -- the store

    def _look_after_store(self) -> None:
        assert self._store is not None
        now = self._clock()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        try:
            how = self._store.ensure()
        except (StoreUnavailable, OSError) as error:
            self._say_of_store(str(error))
            return
        if how == "started":
            self._store_began = now
        elif how in ("running", "adopted") and now - self._store_began > WELL_S:
            self._store_said = self._gave_up = ""
        if how in GAVE_UP and self._store.last_words:
            self._gave_up = self._store.last_words
            for worker in self._workers:
                self._tell_of_store(worker)
            self._say_of_store(f"it gives up, and is tried again: {self._gave_up}")
        elif how == "started":
            log.warn("embedded store: it had ended, and is started again")

    def _tell_of_store(self, worker: _Worker) -> None:
        """Why it gives up, for `/readyz`. A worker that has a link to it knows that it does not."""
        if self._gave_up and worker.link is not None:
            with contextlib.suppress(OSError):
                worker.link.send(self._gave_up.encode() + b"\n")

    def _say_of_store(self, words: str) -> None:
        """Once, however often it is so."""
        if words != self._store_said:
            log.error("embedded store: {why}", why=words)
        self._store_said = words
