"""What a WhatsApp provider is to the bridge: a translator between our values and its HTTP. No I/O here.

A provider makes requests and reads responses; when, how often and over which connection is the bridge's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qs, urlsplit

import msgspec

from bridge.templates import Form
from gateway.messages.outcome import AttemptResult, Inbound, Report, Status, TryLater

Headers = tuple[tuple[str, str], ...]


class HttpRequest(msgspec.Struct, frozen=True):
    """A request of ours, or a webhook as it came in. `url`: absolute, or path and query of a webhook.

    Headers, body and URL may hold keys, numbers and texts: none of them shows in repr.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name in any case, "" without."""
        return _header(self.headers, name)

    def query(self, name: str) -> str:
        """The first value of a parameter in the URL, "" without."""
        return parse_qs(urlsplit(self.url).query, keep_blank_values=True).get(name, [""])[0]

    def json(self) -> object | None:
        """The decoded body, None when it is not JSON."""
        return _json(self.body)

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {len(self.body)} octets>"


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer of a provider, or ours to a webhook."""

    status: int
    body: bytes = b""
    headers: Headers = ()

    def header(self, name: str) -> str:
        """The first header of that name in any case, "" without."""
        return _header(self.headers, name)

    def json(self) -> object | None:
        """The decoded body, None when it is not JSON."""
        return _json(self.body)

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status} {len(self.body)} octets>"


class NotWritten(msgspec.Struct, frozen=True):
    """No octet of the request left: connection refused, name not found, certificate refused."""

    reason: str


class Unanswered(msgspec.Struct, frozen=True):
    """The request was written (or may have been) and no whole answer came: `timeout` or `connection_lost`."""

    reason: str


HttpOutcome = HttpResponse | NotWritten | Unanswered


class Http(Protocol):
    """How requests travel. Implemented by bridge.http; never raises for what the network does."""

    async def send(self, request: HttpRequest, timeout: float) -> HttpOutcome: ...


Account = tuple[bool, str] | tuple[bool, str, str] | bool | None
"""Has a number an account? (True, identity) yes, send to that identity ("" when the provider names none); a third item
is the hidden identity of the same person. False: no, by the provider's own explicit word; None: unknown."""


class Hidden(msgspec.Struct, frozen=True):
    """A text from somebody who shows a hidden identity instead of a number (bridge.aliases): the provider may know it.

    text: its msisdn is "". ask: None where nobody can be asked. read: the digits out of the answer to `ask`; "" nobody
    knows them, None ask again later.
    """

    text: Inbound
    identity: str
    ask: HttpRequest | None = None
    read: Callable[[HttpResponse], str | None] = lambda _: ""


class TemplateNews(msgspec.Struct, frozen=True):
    """The service has approved a template, or does not let it be used any more."""

    name: str
    language: str
    usable: bool


class WebhookRead(msgspec.Struct, frozen=True):
    """What one webhook says.

    connection: True the sender is connected, False it is logged out, None nothing was said.
    unsure: the sender's connection broke in a way that may heal: its state should be asked for.
    answer: what is answered instead of a plain 200 (a challenge), when nothing has to be kept.
    hidden: texts whose senders have to be asked for first.
    failures: what the failed reports would have been as results of their sends, in their order: they may concern the
        whole sender.
    aliases: hidden identities, and the digits of whom they belong to.
    nameless: how many texts were left out, because nobody can know whom they are from.
    """

    reports: tuple[Report, ...] = ()
    inbound: tuple[Inbound, ...] = ()
    connection: bool | None = None
    unsure: bool = False
    answer: HttpResponse | None = None
    hidden: tuple[Hidden, ...] = ()
    failures: tuple[AttemptResult, ...] = ()
    templates: tuple[TemplateNews, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    nameless: int = 0


class BadProof(msgspec.Struct, frozen=True):
    """The webhook is not signed as configured: 401, and nothing of it is believed."""

    reason: str


class Provider(Protocol):
    """One service. All methods are pure; none raises on nonsense from outside.

    check_numbers: how many numbers one check may hold; 0 when the service cannot be asked.
    needs_identity: nothing is sent to a number as such, only to an identity that a check or an earlier send gave.
    """

    @property
    def check_numbers(self) -> int: ...

    @property
    def needs_identity(self) -> bool: ...

    def check_request(self, numbers: Sequence[str]) -> HttpRequest | None:
        """Ask which of these E.164 numbers (digits) have an account; None when the service cannot be asked."""

    def read_check(self, response: HttpResponse, numbers: Sequence[str]) -> Mapping[str, Account]:
        """The answer for every number that was asked."""

    def send_request(self, recipient: str, text: str, message_id: str) -> HttpRequest:
        """Send a text. recipient: the identity a check or an earlier send gave, else E.164 digits."""

    def read_send(self, response: HttpResponse) -> AttemptResult: ...

    def state_request(self) -> HttpRequest | None:
        """Ask whether the sender is connected; None when the service cannot be asked."""

    def read_state(self, response: HttpResponse) -> bool | None:
        """True connected, False not (logged out, unknown instance, wrong key), None when the answer does not say."""

    def senders_in(self, request: HttpRequest) -> frozenset[str]:
        """The instances (sessions, phone number ids) that a webhook names, proven or not; empty where it names none."""

    def read_webhook(self, request: HttpRequest, now: float) -> WebhookRead | BadProof:
        """Verify, then read. now: seconds since the epoch."""


@runtime_checkable
class Official(Provider, Protocol):
    """A service with rules of its own about what may be said to whom; see bridge.templates."""

    def form_request(self, recipient: str, form: Form, message_id: str) -> HttpRequest:
        """Send a text in this form; otherwise as `send_request`."""

    def again(self, result: TryLater, tries: int) -> AttemptResult:
        """What "later" means for a message that was tried so many times before."""

    def alarm(self, result: AttemptResult) -> str:
        """What somebody has to look at after such a result; "" when nobody has."""


def named_in(request: HttpRequest, key: str) -> frozenset[str]:
    """The texts under this key of a webhook's body, which is one envelope or a list of them."""
    body = request.json()
    envelopes = body if isinstance(body, list) else [body]
    found = (envelope.get(key) for envelope in envelopes if isinstance(envelope, dict))
    return frozenset(name for name in found if isinstance(name, str))


@runtime_checkable
class Keyed(Provider, Protocol):
    """A service that lets us choose a message's id, so that we know it although the answer to the send is lost; and a
    send that is tried again is the same message to it."""

    def key_of(self, message_id: str) -> str:
        """The remote id of a message of ours."""


@runtime_checkable
class Telling(Provider, Protocol):
    """A service that can be asked what became of a message: a webhook that was lost need not cost an SMS."""

    def message_request(self, recipient: str, remote_id: str) -> HttpRequest:
        """recipient: as it was sent to."""

    def read_message(self, response: HttpResponse) -> Status | None:
        """How far it has come; None when the answer does not say."""


@runtime_checkable
class Withdrawing(Provider, Protocol):
    """A service that deletes a message for everyone."""

    def withdraw_request(self, recipient: str, remote_id: str) -> HttpRequest: ...

    def read_withdrawn(self, response: HttpResponse) -> bool | None:
        """True it is deleted, False it is not, None when the answer leaves that open."""


def last_segment(message_id: str) -> str:
    """The part of a WhatsApp Web id that stays the same: `true_5531...@c.us_3EB0` -> `3EB0`; others as they are."""
    return message_id.rpartition("_")[2]


def retry_after(response: HttpResponse, otherwise: float, most: float = 60.0) -> float:
    """Seconds the provider asked us to wait (Retry-After as a number), within 0.1 and `most`."""
    written = response.header("retry-after").strip()
    seconds = float(written) if written.isascii() and written.isdigit() else otherwise
    return min(max(seconds, 0.1), most)


def _header(headers: Headers, name: str) -> str:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), "")


def _json(body: bytes) -> object | None:
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return decoded
