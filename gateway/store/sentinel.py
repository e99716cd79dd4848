"""Where is the master? Sentinels know; they are asked in turn until one of them does.

Source: Sentinel client protocol, `SENTINEL get-master-addr-by-name`; RESP2.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import defer, endpoints, protocol

from config.store_url import StoreUrl

ASK_S = 1.0  # for one sentinel: to connect, and again to answer
LONGEST = 4096  # octets of an answer
UNKNOWN = b"*-1"


class NoMaster(Exception):
    """No sentinel names a master; the text says what each of them did, without data."""


class _Question(protocol.Protocol):
    """One command and its answer, which is an array of two strings, a nil or an error."""

    transport: Any

    def __init__(self, *commands: tuple[str, ...]) -> None:
        """Only the last command's answer counts; those before it log in."""
        self._commands, self._before = commands, len(commands) - 1
        self._octets = b""
        self.answer: defer.Deferred[list[bytes]] = defer.Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"".join(map(_packed, self._commands)))

    def dataReceived(self, data: bytes) -> None:
        self._octets += data
        while self._before and b"\r\n" in self._octets:
            line, _, self._octets = self._octets.partition(b"\r\n")
            self._before -= 1
            if line.startswith(b"-"):
                self._end(NoMaster("refuses the password"))
        if self._before or self.answer.called:
            return
        if len(self._octets) > LONGEST:
            self._end(NoMaster("gives an unreadable answer"))
            return
        lines = self._octets.split(b"\r\n")
        if len(lines) < 2:
            return
        if lines[0].startswith(b"-"):
            self._end(NoMaster(_meaning(lines[0])))
        elif lines[0] == UNKNOWN or lines[0] == b"_":
            self._end(NoMaster("does not know this group"))
        elif lines[0] != b"*2":
            self._end(NoMaster("gives an unreadable answer"))
        elif len(lines) > 5:
            self._end([lines[2], lines[4]])

    def connectionLost(self, reason: Any = None) -> None:
        self._end(NoMaster("closes the connection"))

    def _end(self, answer: Any) -> None:
        if not self.answer.called:
            self.answer.callback(answer)
            self.transport.loseConnection()


def _packed(words: tuple[str, ...]) -> bytes:
    octets = [word.encode() for word in words]
    return b"*%d\r\n" % len(octets) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in octets)


def _meaning(error: bytes) -> str:
    if error.startswith(b"-NOAUTH"):
        return "wants a password"
    return "is no sentinel" if b"unknown command" in error.lower() else "answers with an error"


async def find_master(url: StoreUrl, reactor: Any) -> tuple[str, int]:
    """The master's host and port, as the first sentinel that knows it says. NoMaster when none does.

    A sentinel that wants a password is given the one of the URL, which is the server's.
    """
    trouble = []
    for host, port in url.hosts:
        try:
            return await _ask(url, host, port, reactor)
        except NoMaster as why:
            trouble.append(f"{host}:{port} {why}")
    raise NoMaster(f"no sentinel names a master of {url.service}: {'; '.join(trouble)}")


async def _ask(url: StoreUrl, host: str, port: int, reactor: Any) -> tuple[str, int]:
    question = ("SENTINEL", "get-master-addr-by-name", url.service)
    try:
        answer = await _answer(reactor, host, port, question)
    except NoMaster as why:
        if str(why) != "wants a password" or not url.password:
            raise
        login = ("AUTH", *filter(None, (url.username, url.password)))
        answer = await _answer(reactor, host, port, login, question)
    try:
        return answer[0].decode(), int(answer[1])
    except ValueError:
        raise NoMaster("gives an unreadable answer") from None


async def _answer(reactor: Any, host: str, port: int, *commands: tuple[str, ...]) -> list[bytes]:
    asked = _Question(*commands)
    factory: Any = protocol.Factory.forProtocol(lambda: asked)
    factory.noisy = False
    try:
        await endpoints.HostnameEndpoint(reactor, host, port, timeout=ASK_S).connect(factory)
    except Exception as error:
        raise NoMaster(f"cannot be reached ({type(error).__name__})") from None
    late = reactor.callLater(ASK_S, asked._end, NoMaster("does not answer"))
    answer: Any = await asked.answer
    if late.active():
        late.cancel()
    if isinstance(answer, NoMaster):
        asked.transport.abortConnection()
        raise answer
    return answer
