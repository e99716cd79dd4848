"""A gateway that starts with a backlog: how soon is it ready, is the oldest first, does it keep to its pace? (R13)

    python -m tools.backlog                                        100,000 messages and 20,000 receipts
    python -m tools.backlog --messages 1000000 --receipts 200000

Fills a store with messages that wait for the operator and receipts that wait for a bind, as a gateway would have left
them, then starts a gateway on it, an operator that takes them and a billing system that binds. Exit status 0 when
/readyz said yes within 10 s, nothing overtook, the operator's rate was kept, and every receipt came once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

import valkey
from twisted.internet import endpoints, protocol
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from gateway.messages.ids import Ids
from gateway.messages.message import Attempt, Message, Priority, Receipt
from gateway.messages.states import State
from gateway.store import keys, records
from gateway.store.embedded import EmbeddedServer, socket_path
from tools.biller import Biller
from tools.clock import pause
from tools.demo_stage import short_directory
from tools.gateway_process import GatewayProcess
from tools.node import Node, NodeError
from tools.ports import free_port
from tools.smsc_simulator import SmscSettings, SmscSimulator

PASSWORD = "b4ckl0g"
READY_S = 10.0
RATE, WINDOW, WATCH_S = 500, 100, 20.0
AGE_S = 48 * 3600.0  # of the oldest
AT_ONCE = 2000
LOOK_S = 0.02


def waiting(
    count: int, now: float, channel: str = "operator", priority: Priority = Priority.NORMAL
) -> Iterator[Message]:
    """Messages in a channel's queue, the oldest first."""
    ids = Ids(now - AGE_S, 0)
    for n in range(count):
        at = now - AGE_S + n * AGE_S / count
        number = f"55119{70000000 + n:08d}"
        yield Message(
            id=ids.next(), account="billing", source="28940", source_ton=0, source_npi=1, dest=number, dest_ton=1,
            dest_npi=1, msisdn=number, service_type="", esm_class=0, protocol_id=0, priority_flag=0,
            registered_delivery=1, data_coding=0, alphabet="gsm7", user_data=b"Fatura %d" % n, in_payload=False,
            tlvs=(), part=None, segments=1, schedule_at=0.0, expires_at=now + 86400.0, accepted_at=at,
            route="default", plan=(channel,), priority=priority,
            attempts=[Attempt(channel, started_at=at)], rev=1,
        )  # fmt: skip


def pending(count: int, now: float) -> Iterator[Receipt]:
    """Receipts that nobody was bound for, the oldest first."""
    ids = Ids(now - 2 * AGE_S, 0)
    for n in range(count):
        at = now - AGE_S + n * AGE_S / count
        yield Receipt(
            ids.next(), f"55118{70000000 + n:08d}", 1, 1, "28940", 0, 1, "", State.DELIVERED, 0, at, at, "operator"
        )


def fill(
    link: Any, messages: int, receipts: int, now: float, *, channel: str = "operator",
    priority: Priority = Priority.NORMAL,
) -> None:  # fmt: skip
    """Write the backlog as the scripts would have."""
    pipe = link.pipeline(transaction=False)
    for n, message in enumerate(waiting(messages, now, channel, priority), start=1):
        pipe.set(keys.message(message.id), records.pack(message))
        pipe.rpush(keys.queue(channel, message.priority), f"{message.id} {len(message.attempts)}")
        pipe.zadd(keys.DUE, {message.id: message.expires_at})
        if n % AT_ONCE == 0:
            pipe.execute()
    for n, receipt in enumerate(pending(receipts, now), start=1):
        pipe.xadd(
            keys.receipts("billing"), {"b": records.pack_waiting(receipt)}, id=f"{int(receipt.done_at * 1000)}-{n}"
        )
        if n % AT_ONCE == 0:
            pipe.execute()
    pipe.execute()


class Run:
    """One store, one gateway. `close` leaves nothing behind."""

    def __init__(self, reactor: Any, messages: int, receipts: int) -> None:
        self.messages, self.receipts = messages, receipts
        self.directory = short_directory()
        self.gateway = GatewayProcess(self.directory)
        self._reactor = reactor
        self._smpp, http, self._operator_port = free_port(), free_port(), free_port()
        self.node = Node(f"http://127.0.0.1:{http}")
        self.operator = SmscSimulator(SmscSettings(system_id="pombo", password=PASSWORD, receipts=False), reactor)
        self._listening: list[Any] = []
        self.gateway.configure({
            "node": "backlog",
            "store": {
                "url": "embedded", "directory": str(self.gateway.store_directory), "max_messages": messages * 2 + 1000,
            },
            "smpp_server": {
                "listen": [f"tcp:{self._smpp}:interface=127.0.0.1"],
                "accounts": [
                    {"system_id": "billing", "password": PASSWORD, "default_source": "28940", "window": WINDOW}
                ],
            },
            "smsc_client": [
                {
                    "name": "operator", "connect": f"tcp:127.0.0.1:{self._operator_port}", "system_id": "pombo",
                    "password": PASSWORD, "throughput": f"{RATE}/s", "window": 200,
                    "reconnect": {"initial": "200ms", "max": "1s"},
                }
            ],
            "routes": [{"name": "default", "channels": ["operator"]}],
            "http": {"listen": [f"tcp:{http}:interface=127.0.0.1"]},
        })  # fmt: skip

    async def fill(self) -> None:
        """The store as an earlier gateway left it."""
        store = EmbeddedServer(self.gateway.store_directory, "everysec")
        store.lock()
        store.ensure()
        link = valkey.Valkey(unix_socket_path=socket_path(self.gateway.store_directory))
        await self._until(lambda: _answers(link), 30.0, "the store answers")
        await deferToThread(fill, link, self.messages, self.receipts, time.time())
        link.close()
        await deferToThread(store.stop)
        await self._until(lambda: not self.gateway.find_store(), 120.0, "the store has ended")

    async def start(self) -> float:
        """Seconds from the start of the process to the first yes of /readyz."""
        self.gateway.start()
        return await self._until(self._ready, 120.0, "readyz says yes")

    async def _ready(self) -> bool:
        try:
            return bool(await deferToThread(self.node.ready))
        except NodeError:
            return False

    async def _until(self, question: Any, patience_s: float, what: str) -> float:
        began = self._reactor.seconds()
        while self._reactor.seconds() - began < patience_s:
            answer = question()
            if hasattr(answer, "__await__"):
                answer = await answer
            if answer:
                return float(self._reactor.seconds() - began)
            await pause(self._reactor, LOOK_S)
        raise SystemExit(f"backlog: not within {patience_s:g} s: {what}\n{self.gateway.log()[-3000:]}")

    async def open_operator(self) -> None:
        """From now on the operator takes what waits."""
        twisted: Any = endpoints  # carries no types
        point = twisted.TCP4ServerEndpoint(self._reactor, self._operator_port, interface="127.0.0.1")
        self._listening.append(await point.listen(self.operator))

    async def bind(self) -> Biller:
        twisted: Any = endpoints  # carries no types
        biller = Biller(self._reactor, "billing", PASSWORD, "receiver")
        await twisted.connectProtocol(twisted.TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._smpp), biller)
        if await biller.bound:
            raise SystemExit("backlog: the bind was refused")
        return biller

    async def close(self) -> None:
        for port in self._listening:
            await port.stopListening()
        await deferToThread(self.gateway.clean_up)
        shutil.rmtree(self.directory, ignore_errors=True)


def _answers(link: Any) -> bool:
    try:
        return bool(link.ping())
    except valkey.exceptions.ConnectionError:
        return False


async def measure(run: Run, tell: Any = print) -> bool:
    """The whole run, told line by line; True when it went as it should."""
    began = time.monotonic()
    await run.fill()
    size = sum(one.stat().st_size for one in run.gateway.store_directory.rglob("*") if one.is_file())
    tell(f"{run.messages} messages and {run.receipts} receipts written in {time.monotonic() - began:.0f} s, "
         f"{size / 1e6:.0f} MB on disk")  # fmt: skip
    ready_s = await run.start()
    tell(f"readyz says yes {ready_s:.1f} s after the start (bound: {READY_S:g} s)")
    run.gateway.kill()
    again_s = await run.start()
    tell(f"and {again_s:.1f} s after a kill -9 (the store had gone on)")
    await run.open_operator()
    biller = await run.bind()
    began = time.monotonic()
    came_s = await run._until(lambda: len(biller.receipts) >= run.receipts, 600.0, "all receipts come")
    pace = run.receipts / max(came_s, 0.001)
    tell(f"{run.receipts} receipts in {came_s:.1f} s, {pace:.0f}/s, one bind, window {WINDOW}")
    wanted = min(run.messages, int(RATE * WATCH_S))
    await run._until(lambda: len(run.operator.submits) >= wanted, 300.0, "the operator gets what waits")
    took_s = time.monotonic() - began
    submits = list(run.operator.submits)
    texts = [int(submit.text.split()[1]) for submit in submits]
    receipts = [receipt.source for receipt in biller.receipts]
    rate = (len(submits) - 1) / (submits[-1].at - submits[0].at)
    in_order, paced = texts == sorted(texts), rate <= RATE
    ordered = receipts == sorted(receipts) and len(set(receipts)) == len(receipts)
    tell(f"{len(submits)} messages to the operator in {took_s:.1f} s, {rate:.0f}/s "
         f"(bound: {RATE}), {'the oldest first' if in_order else 'OUT OF ORDER'}")  # fmt: skip
    tell(f"receipts {'in order, each once' if ordered else 'OUT OF ORDER'}")
    return ready_s <= READY_S and again_s <= READY_S and in_order and paced and ordered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--receipts", type=int, default=20_000)
    options = parser.parse_args()
    from twisted.internet import reactor as default

    reactor: Any = default
    protocol.Factory.noisy = False
    statuses: list[int] = []

    async def whole() -> None:
        run = Run(reactor, options.messages, options.receipts)
        try:
            statuses.append(0 if await measure(run, lambda line: print(line, flush=True)) else 1)
        finally:
            await run.close()

    def begin() -> None:
        work = Deferred.fromCoroutine(whole())
        work.addErrback(lambda failure: print(failure.getTraceback(), file=sys.stderr))
        work.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else 2


if __name__ == "__main__":
    sys.exit(main())
