"""The link to the store: batches in, answers out, one script call each.

Scripts are written so that a call may be repeated: whoever lost the link in the middle sends the same call again and
learns that it was done before. So calls that must not be lost are kept here until the store has answered them, however
long it is away; calls that need not be are failed with StoreAway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

from twisted.internet import defer, endpoints, protocol, ssl, task
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from config import store_url
from gateway.store.connection import Connection, ResponseError
from gateway.store.embedded import GAVE_UP, EmbeddedServer, StoreUnavailable
from gateway.store.reasons import NotTheMaster, reason, refuses_writes
from gateway.store.sentinel import NoMaster, find_master

SCRIPTS = (
    "commit", "lease", "due", "exact", "find", "answered", "receive", "keep", "revoke", "overview", "shapes", "tend",
    "stranded", "leave", "writers", "story", "people", "naming", "rewrite", "use", "spend",
    "expire",
)  # fmt: skip
STALL_S = 3.0  # without an answer for so long, the store counts as not writable
CONNECT_S = 5.0
STOP_S = 1.5  # for the server to close the link
WATCH_S = 3.0  # how often the sentinels are asked whether the master is still the same
REPLICATE_MS = 1000  # one WAIT for replicas; it is repeated until enough of them have it
BACKOFF_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
STEADY_S = 2.0  # a link that has lived for so long is one that lasts
# Calls whose answer lets something happen outside: with store.replicas they count once so many replicas have them.
REPLICATED = frozenset({"commit", "lease", "receive", "tend", "INCR", "INCRBY"})
log = Logger("store")


class StoreAway(Exception):
    """The store did not take this call: no link, or it refuses writes."""


class Keep(IntEnum):
    """How long a call that the store has not answered is repeated."""

    NO = 0  # fails with the link, and when the store refuses writes
    OVER_LINKS = 1  # repeated over lost links; fails when the store refuses writes, for then nothing was kept
    ALWAYS = 2


class _Call:
    __slots__ = ("args", "deferred", "keep", "replicated", "sent_at", "wanted")

    def __init__(
        self, args: tuple[Any, ...], keep: Keep, replicated: bool = False, wanted: Callable[[], bool] | None = None
    ) -> None:
        self.args, self.keep, self.replicated, self.wanted = args, keep, replicated, wanted
        self.deferred: defer.Deferred[Any] = defer.Deferred()
        self.sent_at = 0.0


class Store:
    """A link that mends itself. Not writable while it is away, while it stalls, and while the store refuses writes."""

    def __init__(
        self, url: str, reactor: Any, *, embedded: EmbeddedServer | None, node: str, replicas: int = 0
    ) -> None:
        """replicas: how many must have a change before it counts as kept."""
        self._place = store_url.parse(url)
        self._watched = self._place.kind == "sentinel"
        self._replicas, self._master = replicas, ("", 0)
        self._watching = self._too_few = False
        self._reactor, self._embedded, self._node = reactor, embedded, node
        self._shas: dict[str, str] = {}
        self._texts = {
            name: (Path(__file__).parent / "scripts" / f"{name}.lua").read_text(encoding="utf-8") for name in SCRIPTS
        }
        self._link: Connection | None = None
        self._pending: deque[_Call] = deque()
        self._stopping = False
        self._tries = 0
        self._since = 0.0  # when the link came up
        self._said: set[str] = set()  # reasons that the log was told since the store was well
        self._gave_up = ""  # what the embedded server said last when it ended by itself
        self._refusal = "not connected yet"
        self._beat: task.LoopingCall | None = None
        self._watch: task.LoopingCall | None = None
        self.on_back: Callable[[], None] = lambda: None  # called after every new link but the first
        self.took: Callable[[float], None] = lambda seconds: None  # told how long each call took

    # -- state

    @property
    def why_not_writable(self) -> str:
        """ "" while the store takes writes, else why not, for `/readyz`."""
        if self._link is None:
            return self._refusal or "not connected"
        if self._pending:
            waited = self._reactor.seconds() - self._pending[0].sent_at
            if waited > STALL_S:
                too_few = f": fewer than {self._replicas} replicas have it" if self._too_few else ""
                return f"no answer for {waited:.0f} s{too_few}"
        return self._refusal

    @property
    def busy(self) -> bool:
        """Is there a call that was not answered yet?"""
        return bool(self._pending)

    @property
    def writable(self) -> bool:
        if self._link is None or self._refusal:
            return False
        return not self._pending or self._reactor.seconds() - self._pending[0].sent_at <= STALL_S

    @property
    def readable(self) -> bool:
        """Is what is read answered, be it by a store that takes no writes?"""
        if self._link is None:
            return False
        return self._too_few or not self._pending or self._reactor.seconds() - self._pending[0].sent_at <= STALL_S

    # -- life

    async def start(self) -> None:
        """Returns once the first link is up and the scripts are loaded. StoreUnavailable when it can never be."""
        if self._embedded is not None:
            self._embedded.lock()
        while self._link is None:
            try:
                await self._connect()
            except StoreUnavailable:
                raise
            except Exception as error:
                self._away(error)
                await self._pause()
        self._beat = task.LoopingCall(self._heartbeat)
        self._beat.clock = self._reactor
        self._beat.start(1.0, now=False)
        if self._watched:
            self._watch = task.LoopingCall(self._look_for_the_master)
            self._watch.clock = self._reactor
            self._watch.start(WATCH_S, now=False)

    def server_gave_up(self, why: str) -> None:
        """What whoever looks after the embedded server has found, where this process does not."""
        self._gave_up = why

    async def stop(self) -> None:
        """Close the link; an embedded server is shut down with it, its data on disk."""
        self._stopping = True
        for loop in (self._beat, self._watch):
            if loop is not None and loop.running:
                loop.stop()
        link, self._link = self._link, None
        if link is not None:
            gone = link.whenDisconnected()
            gone.addTimeout(STOP_S, self._reactor, onTimeoutCancel=lambda *_: None)
            if self._embedded is not None:
                link.execute_command("SHUTDOWN", "NOSAVE").addErrback(lambda _: None)
            else:
                link.transport.loseConnection()
            await gone
        if self._embedded is not None:
            self._embedded.stop()
        for call in self._pending:
            call.deferred.errback(StoreAway("stopping"))
        self._pending.clear()

    async def _pause(self) -> None:
        delay = BACKOFF_S[min(self._tries, len(BACKOFF_S) - 1)]
        self._tries += 1
        await task.deferLater(self._reactor, delay, lambda: None)

    async def _connect(self) -> None:
        """One try for a link that takes writes, or refuses them for now."""
        if self._embedded is not None:
            self._look_after(self._embedded)
        if self._watched:
            self._master = await find_master(self._place, self._reactor)
        endpoint, password, dbid, username = self._endpoint()
        link = Connection(password, dbid, username, lambda: self._link_lost(link))
        factory = protocol.Factory.forProtocol(lambda: link)
        factory.noisy = False
        await endpoint.connect(factory)
        try:
            introduced = defer.ensureDeferred(self._introduce(link))
            introduced.addTimeout(CONNECT_S, self._reactor)
            refusal = await introduced
        except Exception:
            link.transport.abortConnection()
            raise
        self._link, self._refusal, self._too_few = link, refusal, False
        self._since = self._reactor.seconds()
        if self._embedded is not None and (cut := self._embedded.cut_off()):
            log.error(
                "the embedded store's file could not be read to its end: {cut} octets are gone (docs/backup.md)",
                cut=cut,
            )
        waiting, self._pending = self._pending, deque()
        for call in waiting:
            if call.wanted is None or call.wanted():
                self._write(call)
            else:
                call.deferred.errback(StoreAway("nobody waits for it any more"))

    def _look_after(self, embedded: EmbeddedServer) -> None:
        how = embedded.ensure()
        why = embedded.last_words if how in GAVE_UP else ""
        if why:
            self._say(why, "the embedded store gives up, and is tried again: {why}", LogLevel.error)
        elif how not in ("running", "waiting"):
            log.info("embedded store {how}", how=how)
        self._gave_up = why or self._gave_up

    async def _introduce(self, link: Connection) -> str:
        """Load the scripts, and write: a server on a full disk takes everything else, and ends with the first write.
        Why it refuses writes for now, or ""."""
        await link.whenConnected()
        if self._watched and (await link.execute_command("ROLE"))[0] != b"master":
            raise NotTheMaster
        for name, text in self._texts.items():  # a server that still reads its files refuses this, and we try again
            answer = await link.execute_command("SCRIPT", "LOAD", text)
            self._shas[name] = answer.decode()
        try:
            await link.execute_command(*self._alive())
        except ResponseError as error:
            if not refuses_writes(str(error)):
                raise
            return reason(error)
        return ""

    def _endpoint(self) -> tuple[Any, str | None, str | None, str | None]:
        """Where to connect, and with what password, database and user."""
        if self._embedded is not None:
            path = self._embedded.socket
            return endpoints.UNIXClientEndpoint(self._reactor, path, timeout=CONNECT_S), None, None, None
        url = self._place
        if url.kind == "unix":
            point: Any = endpoints.UNIXClientEndpoint(self._reactor, url.path, timeout=CONNECT_S)
        else:
            host, port = self._master if self._watched else url.hosts[0]
            point = endpoints.HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_S)
            if url.tls:
                point = endpoints.wrapClientTLS(ssl.optionsForClientTLS(host), point)
        database = str(url.database) if url.database else None
        return point, url.password or None, database, url.username or None

    def _link_lost(self, link: Connection) -> None:
        if self._link is not link or self._stopping:
            return
        self._link, self._refusal = None, "link lost"
        self._say("link lost", "store link lost; reconnecting")
        defer.ensureDeferred(self._reconnect()).addErrback(
            lambda failure: log.failure("store reconnect ended", failure=failure)
        )

    async def _reconnect(self) -> None:
        while self._link is None and not self._stopping:
            try:
                await self._connect()
            except Exception as error:
                self._away(error)
                await self._pause()
        if not self._stopping:
            self.on_back()

    def _look_for_the_master(self) -> None:
        """A master that lost its machine or its network closes no connection: only the sentinels know of its end."""
        if self._link is not None and not self._watching:
            self._watching = True
            defer.ensureDeferred(self._leave_an_old_master(self._link)).addErrback(
                lambda failure: log.failure("the sentinels could not be asked", failure=failure)
            )

    async def _leave_an_old_master(self, link: Connection) -> None:
        try:
            master = await find_master(self._place, self._reactor)
        except NoMaster:
            return  # they are away: as long as the master answers, that is no reason to leave it
        finally:
            self._watching = False
        if master != self._master and self._link is link:
            log.warn("the sentinels name another master; leaving the old one")
            link.transport.abortConnection()

    def _heartbeat(self) -> None:
        """One small write a second: a full disk or memory shows before a customer's message meets it."""
        self.command(*self._alive()).addErrback(lambda _: None)
        if self._link is None:
            return
        if not self.writable:
            self._say(self._refusal or "no answer")
        elif self._reactor.seconds() - self._since >= STEADY_S:
            self._tries, self._gave_up = 0, ""
            if self._said:
                self._said.clear()
                log.info("store is back")

    def _alive(self) -> tuple[str, ...]:
        return ("SET", f"alive:{self._node}", str(int(self._reactor.seconds())), "EX", "30")

    def _away(self, error: Exception) -> None:
        """There is no link. An embedded server that only just starts is no news, nor is one that gives up twice."""
        self._refusal = self._why_away(error)
        if not self._gave_up and (self._embedded is None or isinstance(error, OSError) or self._tries > len(BACKOFF_S)):
            self._say(self._refusal)

    def _why_away(self, error: Exception) -> str:
        if self._gave_up:
            return f"the embedded store gives up, and is tried again: {self._gave_up}"
        why = reason(error)
        if self._embedded is not None:
            return f"the embedded store: {why}"
        if isinstance(error, NoMaster):
            return why
        host, port = self._master if self._watched else self._place.hosts[0] if self._place.hosts else ("", 0)
        return f"{f'{host}:{port}' if host else self._place.path} {why}"

    def _say(self, why: str, words: str = "the store cannot be used: {why}", level: Any = LogLevel.warn) -> None:
        """Once, however often it is so before the store is well again."""
        if why not in self._said and not self._stopping:
            self._said.add(why)
            log.emit(level, words, why=why)

    # -- calls

    def call(
        self, script: str, *args: str | bytes, keep: Keep = Keep.ALWAYS, wanted: Callable[[], bool] | None = None
    ) -> defer.Deferred[Any]:
        """Run a script of SCRIPTS. wanted(): asked before it goes again over another link; False: it fails instead."""
        replicated = self._replicas > 0 and script in REPLICATED
        return self._submit(_Call(("EVALSHA", script, "0", *args), keep, replicated, wanted))

    def command(self, *args: str | bytes, keep: Keep = Keep.NO) -> defer.Deferred[Any]:
        """One plain command, for what is rare."""
        return self._submit(_Call(args, keep, self._replicas > 0 and args[0] in REPLICATED))

    def _submit(self, call: _Call) -> defer.Deferred[Any]:
        if self._link is None and not call.keep:
            call.deferred.errback(StoreAway(self._refusal))
        else:
            self._write(call)
        return call.deferred

    def _write(self, call: _Call) -> None:
        link = self._link
        call.sent_at = self._reactor.seconds()
        self._pending.append(call)
        if link is None:
            return
        args = call.args
        if args[0] == "EVALSHA":
            args = ("EVALSHA", self._shas[args[1]], *args[2:])
        answered = link.execute_command(*args)
        if call.replicated:
            answered = self._when_replicated(link, answered)
        answered.addCallbacks(self._answered, self._failed, callbackArgs=(call,), errbackArgs=(call,))

    def _when_replicated(self, link: Connection, answered: defer.Deferred[Any]) -> defer.Deferred[Any]:
        """The same answer, once enough replicas have what it tells of. While they have not, nothing goes on: the store
        does not count as writable then, and the ESME that waits is refused in time."""
        wait = ("WAIT", str(self._replicas), str(REPLICATE_MS))
        asked = link.execute_command(*wait)

        def enough(count: int, answer: Any) -> Any:
            self._too_few = count < self._replicas
            if not self._too_few:
                return answer
            return link.execute_command(*wait).addCallbacks(enough, no_master, callbackArgs=(answer,))

        def no_master(failure: Failure) -> Any:
            if failure.check(ResponseError):  # it has become a replica meanwhile
                link.transport.loseConnection()
                raise StoreAway("the master changed")
            return failure

        def wait_for_them(answer: Any) -> Any:
            return asked.addCallbacks(enough, no_master, callbackArgs=(answer,))

        def not_done(failure: Failure) -> Failure:
            asked.addErrback(lambda _: None)
            return failure

        return answered.addCallbacks(wait_for_them, not_done)

    def _answered(self, answer: Any, call: _Call) -> None:
        self._forget(call)
        if self._refusal and _writes(call.args):  # reads are answered even by a store that takes no writes
            self._refusal = ""
        self.took(self._reactor.seconds() - call.sent_at)
        call.deferred.callback(answer)

    def _failed(self, failure: Failure, call: _Call) -> None:
        error = failure.value
        if isinstance(error, ResponseError):
            text = str(error)
            self._forget(call)
            if "NOSCRIPT" in text and self._link is not None:
                self._link.transport.loseConnection()  # the next link loads them
            elif not refuses_writes(text):
                call.deferred.errback(failure)  # a mistake of ours: repeating it does not help
                return
            else:
                self._refusal = reason(error)
                if self._watched and "READONLY" in text and self._link is not None:
                    self._link.transport.loseConnection()  # the sentinels know who is the master now
            if call.keep is Keep.ALWAYS and not self._stopping:
                self._reactor.callLater(0.5, self._write, call)
            else:
                call.deferred.errback(StoreAway(reason(error)))
        elif not call.keep:  # the link was lost; kept calls stay in `_pending` and go again with the next one
            self._forget(call)
            call.deferred.errback(StoreAway("link lost"))

    def _forget(self, call: _Call) -> None:
        if self._pending and self._pending[0] is call:
            self._pending.popleft()
        else:
            self._pending.remove(call)


def _writes(args: tuple[Any, ...]) -> bool:
    """Is this a call that never succeeds without a write?"""
    return args[0] == "SET" or (args[0] == "EVALSHA" and args[1] == "keep")
