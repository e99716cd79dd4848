"""Opening the addresses we listen on. Those with TLS read their certificates again when they are told to, and keep
every connection that is open."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.filepath import FilePath
from zope.interface import implementer

from config import endpoints

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
Fresh = list[tuple["Credentials", str, Any]]
"""What was read and is not in use yet: whose it is, its endpoint string, its context."""


class Listeners:
    """The open ports of one server, and their certificates."""

    def __init__(self, inherited: Callable[[Any, str, Any], Any] | None = None) -> None:
        """inherited(reactor, description, factory): listens where another process has opened the address."""
        self.ports: list[Any] = []
        self._inherited = inherited
        self._credentials: list[Credentials] = []

    async def open(self, reactor: Any, descriptions: Sequence[str], factory: Any) -> None:
        """Open every address; the error of the first that cannot be opened, with none left open."""
        make_endpoint: Any = serverFromString
        try:
            for description in descriptions:
                if self._inherited is not None:
                    self.ports.append(self._inherited(reactor, description, self._wrapped(description, factory)))
                    continue
                if is_tls(description):
                    credentials = Credentials(description)
                    listener = endpoints.server(description)
                    endpoint = SSL4ServerEndpoint(
                        reactor,
                        int(listener["port"]),
                        credentials,
                        backlog=int(listener.get("backlog") or 50),
                        interface=listener.get("interface", ""),
                    )
                    self._credentials.append(credentials)
                else:
                    endpoint = make_endpoint(reactor, description)
                self.ports.append(await endpoint.listen(factory))
        except Exception:
            await self.close()
            raise

    def _wrapped(self, description: str, factory: Any) -> Any:
        if not is_tls(description):
            return factory
        credentials: Any = Credentials(description)
        self._credentials.append(credentials)
        return TLSMemoryBIOFactory(credentials, False, factory)

    async def close(self) -> None:
        """Take no new connections; those that are open stay."""
        ports, self.ports, self._credentials = self.ports, [], []
        for port in ports:
            closed = port.stopListening()
            if closed is not None:
                await closed

    def read_again(self, descriptions: Sequence[str]) -> Fresh:
        """Read the certificates of all TLS listeners, without using them yet; ValueError when one cannot be used.

        descriptions: the endpoint strings as they are now. A listener's files are those that they name for its port
        and interface; a listener that they do not name keeps its files, for addresses change with the next start.
        """
        named = {_place(one): one for one in descriptions if is_tls(one)}
        fresh: Fresh = []
        for credentials in self._credentials:
            description = named.get(_place(credentials.description), credentials.description)
            context = _context(description)
            if description != credentials.description or _octets(description) != credentials.octets:
                fresh.append((credentials, description, context))
        return fresh

    @staticmethod
    def use(fresh: Fresh) -> None:
        """New connections get these certificates from now on."""
        for credentials, description, context in fresh:
            credentials.use(description, context)


@implementer(IOpenSSLServerConnectionCreator)
class Credentials:
    """The key and certificate of one TLS listener, exchangeable while it listens."""

    def __init__(self, description: str) -> None:
        """ValueError when TLS cannot be spoken with the files that the endpoint string names."""
        self.use(description, _context(description))

    def use(self, description: str, context: Any) -> None:
        self.description, self._context, self.octets = description, context, _octets(description)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        connection: Any = ssl.SSL.Connection
        return connection(self._context, None)


def is_tls(description: str) -> bool:
    return endpoints.split(description)[0].lower() == "ssl"


def _place(description: str) -> tuple[str, str]:
    listener = endpoints.server(description)
    return listener["port"], listener.get("interface", "")


def _octets(description: str) -> tuple[bytes, ...]:
    """The content of all the files, to see whether any has changed."""
    listener = endpoints.server(description)
    paths = (listener.get(name) for name in ("privateKey", "certKey", "extraCertChain", "dhParameters"))
    return tuple(Path(path).read_bytes() for path in paths if path)


def _context(description: str) -> Any:
    listener = endpoints.server(description)
    options: dict[str, Any] = {}
    try:
        key = Path(listener["privateKey"]).read_bytes()
        certificate = Path(listener.get("certKey") or listener["privateKey"]).read_bytes()
        chain = _CERTIFICATE.findall(Path(path).read_bytes()) if (path := listener.get("extraCertChain")) else []
        if path := listener.get("dhParameters"):
            options["dhParameters"] = ssl.DiffieHellmanParameters.fromFile(FilePath(path))
        if method := listener.get("sslmethod"):
            options["method"] = getattr(ssl.SSL, method)
        made: Any = ssl.CertificateOptions(
            privateKey=ssl.KeyPair.load(key, ssl.SSL.FILETYPE_PEM).original,
            certificate=ssl.Certificate.loadPEM(certificate).original,
            extraCertChain=[ssl.Certificate.loadPEM(one).original for one in chain],
            **options,
        )
        return made.getContext()
    except OSError as wrong:
        raise ValueError(f"a file of a TLS listener cannot be read: {wrong.filename}: {wrong.strerror}") from None
    except Exception as wrong:  # OpenSSL's errors have no common class worth naming
        raise ValueError(f"TLS cannot be spoken with the files of {description!r}: {type(wrong).__name__}") from None
