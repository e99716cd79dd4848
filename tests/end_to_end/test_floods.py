"""A thousand idle sessions, a flood of connections and garbage: who is at work does not notice."""

from __future__ import annotations

import resource
import socket
import struct
import subprocess
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from gateway.server.factory import MAX_UNBOUND
from gateway.smpp import pdu
from tests.end_to_end.biller import Answer, Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import PASSWORD, Stage
from tools.clock import pause

IDLE, FLOOD = 1_000, 2 * MAX_UNBOUND
KIB_EACH = 64  # of resident memory, for a session that does nothing
SHELL_LIMIT = 1_024  # open descriptors, where shells and service managers begin

GARBAGE = (
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">IIII", 0xFFFFFFFF, 4, 0, 1),
    struct.pack(">IIII", 60_000, 9, 0, 1) + b"half of a bind",
    struct.pack(">IIII", 16, 0xBEEF, 0, 1) * 4_000,
    pdu.encode(pdu.BindTransceiver(system_id="nobody", password="x"), 1) * 500,
    pdu.encode(pdu.SubmitSm(destination_addr="5511987654321", short_message=b"x"), 1) * 500,
)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def converse(link: socket.socket, request: pdu.Pdu) -> pdu.Pdu:
    link.sendall(pdu.encode(request))
    head = link.recv(4, socket.MSG_WAITALL)
    return pdu.decode(head + link.recv(int.from_bytes(head, "big") - 4, socket.MSG_WAITALL))


def bind_idle(port: int) -> list[socket.socket]:
    """So many receivers that never say anything more."""
    links = []
    for number in range(1, IDLE + 1):
        link = connect(port)
        links.append(link)
        bind = pdu.BindReceiver(sequence_number=number, system_id="idle", password=PASSWORD, interface_version=0x34)
        assert converse(link, bind).command_status == 0
    return links


def flood(port: int) -> list[socket.socket]:
    """Connections as fast as they come, some with garbage, none of them bound; those that were let in."""
    links = []
    for number in range(FLOOD):
        with suppress(OSError):
            link = connect(port)
            links.append(link)
            if number % 4 == 0:
                link.sendall(GARBAGE[number // 4 % len(GARBAGE)])
    return links


def asks_in_vain(links: list[socket.socket]) -> list[int]:
    """Which of some sessions do not answer enquire_link."""
    silent = []
    for number in range(0, len(links), 50):
        answer = converse(links[number], pdu.EnquireLink(sequence_number=7))
        if answer != pdu.EnquireLinkResp(sequence_number=7):
            silent.append(number)
    return silent


def first_line(http_port: int) -> bytes:
    """The beginning of an answer over a connection that is new: a descriptor must be left for it."""
    with connect(http_port) as link:
        link.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return link.recv(1_000)


def resident_kib(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout)


class Worker:
    """A billing system that submits all the time."""

    def __init__(self, stage: Stage, biller: Biller) -> None:
        self._stage, self._biller = stage, biller
        self.asked: list[Deferred[Answer]] = []
        self.working = True
        self.ended = Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        while self.working:
            for _ in range(5):
                number = f"55119750{len(self.asked):05d}"
                self.asked.append(self._biller.submit(number, "Sua fatura vence hoje."))
            await pause(self._stage.reactor, 0.05)

    async def answers(self) -> list[Answer]:
        self.working = False
        await self.ended
        return [await one for one in self.asked]


@in_reactor
async def test_who_works_does_not_notice_a_thousand_idle_sessions_and_a_flood(stage: Stage) -> None:
    server = stage.settings["smpp_server"]
    server["accounts"].append({"system_id": "idle", "password": PASSWORD, "max_binds": IDLE})
    stage.settings["smsc_client"][0]["throughput"] = "2000/s"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    links: list[socket.socket] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(SHELL_LIMIT, limits[1]), limits[1]))
        await stage.start()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        worker = Worker(stage, await stage.bind())
        await stage.until(lambda: len(worker.asked) >= 50, "work has begun")
        before = resident_kib(stage.gateway.pid)

        links += await deferToThread(bind_idle, stage.smpp_port)
        accounts = {one["system_id"]: len(one["binds"]) for one in (await stage.status())["accounts"]}
        assert accounts["idle"] == IDLE
        assert resident_kib(stage.gateway.pid) - before < IDLE * KIB_EACH

        at_most = resident_kib(stage.gateway.pid) + FLOOD * KIB_EACH
        links += await deferToThread(flood, stage.smpp_port)
        assert (await deferToThread(first_line, stage.http_port)).startswith(b"HTTP/1.1 200")
        assert resident_kib(stage.gateway.pid) < at_most

        answers = await worker.answers()
        assert len(answers) > 50
        assert {answer.status for answer in answers} == {0}
        assert len({answer.message_id for answer in answers}) == len(answers)
        assert await deferToThread(asks_in_vain, links[:IDLE]) == []
        biller = stage.billers[0]
        await stage.until(lambda: len(biller.receipts) == len(answers), "all receipts", 20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for link in links:
            link.close()
    await stage.until(lambda: _only_worker(stage), "the idle sessions are forgotten")
    assert "Traceback" not in stage.gateway.log()


async def _only_worker(stage: Stage) -> bool:
    return sum(len(one["binds"]) for one in (await stage.status())["accounts"]) == 1
