"""Sessions that are bound and silent: they answer enquire_link and nothing else, and cost nothing meanwhile. (The load
tool looks a thousand times a second whether it is time for a message, from every process that has one left to send.)

    python -m tools.bench.silent_esmes --port 2775 --user idle --password secret --count 900
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

from gateway.smpp.constants import VERSION_3_4
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import BindTransceiver, BindTransceiverResp, EnquireLink, EnquireLinkResp, Pdu, decode, encode

AT_ONCE = 100  # connections that have not bound yet; the gateway closes what is beyond its limit
OCTETS, MAX_PDU = 4096, 70_000


class Refused(Exception):
    """A bind was."""


class Silent:
    """One session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._framer = Framer(MAX_PDU)
        self._waiting: deque[bytes] = deque()  # whole PDUs that were read

    @classmethod
    async def bound(cls, port: int, user: str, password: str) -> Silent:
        """Refused when the gateway does not want it."""
        silent = cls(*await asyncio.open_connection("127.0.0.1", port))
        request = BindTransceiver(system_id=user, password=password, interface_version=VERSION_3_4)
        silent._writer.write(encode(request, 1))
        async for pdu in silent._pdus():
            if not isinstance(pdu, BindTransceiverResp) or pdu.command_status:
                raise Refused(f"the bind was answered with 0x{pdu.command_status:08X}")
            return silent
        raise Refused("the gateway closed the connection")

    async def stay(self) -> None:
        """Until the gateway closes it."""
        with suppress(ConnectionError):
            async for pdu in self._pdus():
                if isinstance(pdu, EnquireLink):
                    self._writer.write(encode(EnquireLinkResp(sequence_number=pdu.sequence_number)))
        self._writer.close()

    async def _pdus(self) -> AsyncIterator[Pdu]:
        while True:
            while self._waiting:
                yield decode(self._waiting.popleft())
            octets = await self._reader.read(OCTETS)
            if not octets:
                return
            self._waiting += self._framer.feed(octets)


async def serve(options: argparse.Namespace) -> None:
    """Bind them all, say so, and stay."""
    sessions = []
    for first in range(0, options.count, AT_ONCE):
        more = min(AT_ONCE, options.count - first)
        sessions += await asyncio.gather(
            *(Silent.bound(options.port, options.user, options.password) for _ in range(more))
        )
    print("listens", flush=True)
    await asyncio.gather(*(session.stay() for session in sessions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--count", type=int, required=True)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
