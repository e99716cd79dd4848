"""One worker beside the others: what it tells them, what it asks them, and what it says for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet import defer, task
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.workers import kept, sums
from gateway.workers.accepting import Inherited
from gateway.workers.asking import Ear, NoAnswer, ask
from gateway.workers.bell import Bell
from gateway.workers.kept import Kept
from gateway.workers.limits import SharedLimits
from gateway.workers.place import Place

SHOW_S = 0.25
KEEP_S = 0.5
WITHIN_S = 2.0  # for another worker's answer
READY_WITHIN_S = 1.0
RELOAD_WITHIN_S = 10.0
READY, RELOADED = b"ready\n", b"reloaded\n"  # what the parent is told
log = Logger("workers")
Reasons = dict[str, str]
Reloaded = tuple[list[str], list[str]]


class Beside:
    """What a node has besides where it is one worker of several."""

    def __init__(
        self, place: Place, reactor: Any, *, metrics: Metrics, connections: Callable[[], int], pid: int,
        heard: Callable[[str, str], None], channels: Callable[[], Mapping[str, bool | None]],
    ) -> None:  # fmt: skip
        """connections(): of ESMEs, here. channels(): whether they are up; None for those that only others have. heard:
        see Bell."""
        self.place, self._reactor, self._pid = place, reactor, pid
        self._connections, self._channels = connections, channels
        self.limits = SharedLimits(place.board, place.number)
        self._kept = Kept(place.counts(place.number), metrics)
        self._sums = sums.Sums()
        others = [place.socket_path(one, "bell") for one in place.others]
        self.bell = Bell(reactor, place.socket_path(place.number, "bell"), others, heard)
        self._says: dict[str, Callable[[], Any]] = {"tally": self._kept.keep}
        self._ear = Ear(reactor, place.socket_path(place.number, "ear"), self._says)
        self._loops = [self._loop(self._show), self._loop(self._keep)]
        self._parent: Any = None
        self._ending = self._orphan = False

    def _loop(self, work: Callable[[], object]) -> task.LoopingCall:
        loop = task.LoopingCall(work)
        loop.clock = self._reactor
        return loop

    # -- life

    def open(
        self, *, ready: Callable[[], Reasons], status: Callable[[], Any], reload: Callable[[], Reloaded],
        gave_up: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Begin to listen to the others, and to watch the parent. ready, status, reload: this worker's own. gave_up:
        told why the embedded store does."""
        self._ready, self._status, self._reload = ready, status, reload
        self._says |= {"ready": ready, "status": status, "reload": reload}
        self._kept.go_on()
        self.bell.open()
        self._ear.open()
        self._parent = _Parent(self._orphaned, gave_up)
        self.place.parent.setblocking(False)
        fd = self.place.parent.fileno()
        self._reactor.adoptStreamConnection(fd, self.place.parent.family, Factory.forProtocol(lambda: self._parent))
        for loop, seconds in zip(self._loops, (SHOW_S, KEEP_S), strict=True):
            loop.start(seconds, now=True)

    async def close(self) -> None:
        self._ending = True
        for loop in self._loops:
            if loop.running:
                loop.stop()
        self._keep()
        self.bell.close()
        await self._ear.close()
        if self._orphan:
            self._clear_up()

    def _clear_up(self) -> None:
        """What the parent would have done: the last worker removes the directory."""
        place = self.place
        for path in place.directory.glob(f"{place.number}.*"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the others have something in it still
            place.directory.rmdir()

    def _orphaned(self) -> None:
        if not self._ending:
            self._ending = self._orphan = True
            log.critical("the parent of the workers is gone; ending")
            self._reactor.stop()

    def tell_parent(self, word: bytes) -> None:
        """READY or RELOADED."""
        if self._parent is not None and self._parent.transport is not None:
            self._parent.transport.write(word)

    # -- for those who accept connections

    def smpp_listeners(self) -> Inherited:
        return Inherited(self.place.listeners, self._others_freer, self._show_connections)

    def http_listeners(self) -> Inherited:
        return Inherited(self.place.listeners)

    def _others_freer(self) -> bool:
        now, place = self._reactor.seconds(), self.place
        return self._connections() > place.board.fewest(place.workers, now)

    def _show_connections(self) -> None:
        self.place.board.show(self.place.number, self._reactor.seconds(), self._connections(), self._pid)

    def _show(self) -> None:
        self._show_connections()
        place = self.place
        for name, up in self._channels().items():
            place.board.say(name, place.number, up)

    def _keep(self) -> None:
        try:
            self._kept.keep()
        except OSError as error:
            log.warn("what was counted is not kept: {why}", why=error.strerror)

    # -- what is said for all

    async def page(self) -> bytes:
        """The metrics of all workers: see gateway.workers.sums."""
        tallies = {self.place.number: self._kept.keep()}
        for worker, answer in (await self._ask_others("tally", WITHIN_S)).items():
            if answer is not None:
                tallies[worker] = msgspec.msgpack.decode(answer, type=sums.Tally)
            elif (before := kept.read(self.place.counts(worker))) is not None:
                tallies[worker] = msgspec.structs.replace(before, gauges=[])
        return self._sums.page(tallies)

    async def ready(self) -> Reasons:
        """Why not all workers are ready; empty when they are."""
        reasons = self._ready()
        for worker, answer in (await self._ask_others("ready", READY_WITHIN_S)).items():
            if answer is None:
                reasons[f"worker {worker}"] = "it does not answer"
            else:
                more = msgspec.msgpack.decode(answer, type=Reasons)
                reasons |= {f"{what} of worker {worker}": why for what, why in more.items()}
        return reasons

    async def status(self, node: str) -> dict[str, Any]:
        """The status of the node that the workers are together."""
        board, parts = self.place.board, {self.place.number: self._status()}
        for worker, answer in (await self._ask_others("status", WITHIN_S)).items():
            if answer is not None:
                parts[worker] = msgspec.msgpack.decode(answer)
        workers = []
        for worker in range(1, self.place.workers + 1):
            _, connections, pid = board.shown(worker)
            told = {"number": worker, "answers": worker in parts, "pid": pid, "connections": connections}
            workers.append(told)
        whole = sums.status_of(node, [parts[worker] for worker in sorted(parts)])
        return {**whole, "workers": workers}

    async def reload(self) -> Reloaded:
        """Every worker reads the file, this one first: a bad file changes nothing anywhere."""
        changed, errors = self._reload()
        if errors:
            return changed, errors
        for worker, answer in (await self._ask_others("reload", RELOAD_WITHIN_S)).items():
            if answer is None:  # it is being started, and reads what the parent has
                log.warn("worker {worker} did not answer to the reload", worker=worker)
                continue
            more, wrong = msgspec.msgpack.decode(answer, type=Reloaded)
            changed += [one for one in more if one not in changed]
            errors += [one for one in wrong if one not in errors]
        return changed, errors

    async def _ask_others(self, what: str, within: float) -> dict[int, bytes | None]:
        asked = {one: defer.ensureDeferred(self._ask(one, what, within)) for one in self.place.others}
        return {one: await answering for one, answering in asked.items()}

    async def _ask(self, worker: int, what: str, within: float) -> bytes | None:
        try:
            return await ask(self._reactor, self.place.socket_path(worker, "ear"), what, within)
        except NoAnswer:
            return None


class _Parent(Protocol):
    """The stream to the parent, who tells why the embedded store gives up."""

    def __init__(self, gone: Callable[[], None], told: Callable[[str], None]) -> None:
        self._gone, self._told = gone, told

    def dataReceived(self, data: bytes) -> None:
        self._told(data.decode("utf-8", "replace").splitlines()[-1])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone()


class AdminOfAll:
    """gateway.web.pages.Admin of the first worker: what concerns all is said for all, the rest is the store's."""

    def __init__(self, own: Any, beside: Beside, node: str) -> None:
        self._own, self._beside, self._node = own, beside, node
        self.reload = beside.reload

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    async def status(self) -> dict[str, Any]:
        return await self._beside.status(self._node)
