"""A WhatsApp provider that costs little: Evolution's API over bare sockets, with two webhooks for every text it takes.

    python -m tools.bench.whatsapp_stub --port 8080 --webhook-port 8081 --path /webhooks/zap

The simulator of the laboratory takes as long for a message as the gateway does: beside a gateway on the same cores, it
would be what is measured. This one answers what a gateway asks, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

CONNECTIONS = 16  # for webhooks
DELIVERED_S = 0.1  # after a text was taken
STATUSES = ("SERVER_ACK", "DELIVERY_ACK")
OWN = "main"


class Answer(NamedTuple):
    """body: JSON. after_s: how long it takes. sent: the id of a text that was taken."""

    status: int
    body: object
    after_s: float = 0.0
    sent: str = ""


def requests(buffer: bytearray) -> Iterator[tuple[str, str, bytes]]:
    """Cut whole requests off a buffer: method, path, body. Bodies have a Content-Length."""
    while (end := buffer.find(b"\r\n\r\n")) >= 0:
        head, *fields = bytes(buffer[:end]).split(b"\r\n")
        length = 0
        for field in fields:
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(buffer) < end + 4 + length:
            return
        body = bytes(buffer[end + 4 : end + 4 + length])
        del buffer[: end + 4 + length]
        method, path, _ = head.decode("latin-1").split(" ", 2)
        yield method, path, body


class Provider:
    """One instance whose people have an account when `everybody` does, else nobody has one."""

    def __init__(self, everybody: bool, lookup_s: float) -> None:
        self._everybody, self._lookup_s = everybody, lookup_s
        self._numbers = itertools.count(1)

    def answer(self, path: str, body: bytes) -> Answer:
        match path.strip("/").split("/")[:2]:
            case ["instance", "connectionState"]:
                return Answer(200, {"instance": {"instanceName": OWN, "state": "open"}})
            case ["chat", "whatsappNumbers"]:
                asked = json.loads(body)["numbers"]
                known = [
                    {"jid": f"{number}@s.whatsapp.net", "exists": self._everybody, "number": number} for number in asked
                ]
                return Answer(200, known, self._lookup_s)
            case ["message", "sendText"]:
                sent = f"3EB0{next(self._numbers):018X}"
                key = {"remoteJid": f"{json.loads(body)['number']}@s.whatsapp.net", "fromMe": True, "id": sent}
                return Answer(201, {"key": key, "messageType": "conversation", "status": "PENDING"}, sent=sent)
        return Answer(404, {"status": 404, "error": "Not Found", "response": {"message": [f"Cannot find {path}"]}})


def reply(answer: Answer) -> bytes:
    body = json.dumps(answer.body).encode()
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (answer.status, len(body))
    return head + body


def webhook(path: str, sent: str, status: str) -> bytes:
    """The request that tells what became of a text."""
    data = {"keyId": sent, "fromMe": True, "status": status, "instanceId": "bench"}
    body = json.dumps({"event": "messages.update", "instance": OWN, "data": data}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Door(asyncio.Protocol):
    """A connection of the gateway's, which waits for an answer before it asks again."""

    def __init__(self, provider: Provider, webhooks: Webhooks) -> None:
        self._provider, self._webhooks, self._buffer = provider, webhooks, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        loop = asyncio.get_running_loop()
        for _, path, body in requests(self._buffer):
            answer = self._provider.answer(path, body)
            if answer.after_s:
                loop.call_later(answer.after_s, self._transport.write, reply(answer))
            else:
                self._transport.write(reply(answer))
            if answer.sent:
                self._webhooks.send(answer.sent, STATUSES[0])
                loop.call_later(DELIVERED_S, self._webhooks.send, answer.sent, STATUSES[1])


class Webhooks:
    """What waits to be told, and the connections it goes out by, one at a time on each."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: deque[bytes] = deque()
        self._idle: deque[asyncio.Transport] = deque()

    def send(self, sent: str, status: str) -> None:
        request = webhook(self._path, sent, status)
        if self._idle:
            self._idle.popleft().write(request)
        else:
            self._waiting.append(request)

    def free(self, transport: asyncio.Transport) -> None:
        """A connection can take the next one."""
        if self._waiting:
            transport.write(self._waiting.popleft())
        else:
            self._idle.append(transport)


class Teller(asyncio.Protocol):
    """A connection to the gateway's webhooks. Statuses of answers are not looked at: a message whose webhook is refused
    gets no receipt, which the load tool counts."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks, self._buffer = webhooks, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._webhooks.free(transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for _ in requests(self._buffer):  # an answer is framed like a request
            self._webhooks.free(self._transport)


async def serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    webhooks = Webhooks(options.path)
    provider = Provider(options.everybody, options.lookup_ms / 1000)
    server = await loop.create_server(lambda: Door(provider, webhooks), "127.0.0.1", options.port, backlog=512)
    print("listens", flush=True)
    tellers = 0
    async with server:
        while tellers < CONNECTIONS:  # the gateway starts after us
            try:
                await loop.create_connection(lambda: Teller(webhooks), "127.0.0.1", options.webhook_port)
                tellers += 1
            except OSError:
                await asyncio.sleep(0.1)
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--webhook-port", type=int, required=True)
    parser.add_argument("--path", default="/webhooks/zap")
    parser.add_argument("--everybody", action="store_true", help="has an account; else nobody has")
    parser.add_argument("--lookup-ms", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
