"""One SMPP session without I/O, for both roles: bytes and the time go in, events and bytes come out.

The shell around it writes `output()` after every call, closes the transport on `Over`, and calls `tick` when
`deadline()` has come (one in the past, 0.0, means at once). Times are seconds of any clock that does not go back.

Source: SMPP 3.4, 2.2 (states), 2.7 (timers), 2.9 (window), 3.2 and 4.3 (errors).
"""

import math
from collections import deque

from msgspec import Struct, structs

from . import pdu as pdus
from .constants import MAX_SEQUENCE_NUMBER, RESPONSE_BIT, VERSION_3_4, CommandStatus, Tag
from .errors import BadLength, BadPdu, LocalProtocolError, UnknownCommand
from .events import (
    Answered,
    AnsweredLate,
    BindRefused,
    BindRequested,
    Bound,
    Event,
    Over,
    Received,
    Rejected,
    Unanswered,
)
from .framing import Framer
from .pdu import DECODERS, ENCODERS, Bind, BindResp, Pdu, encode, error_response, read_header, tlv, unknown
from .states import BOUND, DATA_REQUESTS, DATA_RESPONSES, SENT_BY, STATE_AFTER_BIND, Role, SessionState, legal

__all__ = ["Role", "Session", "SessionSettings", "SessionState"]

UNBIND_TIMEOUT_S = 5.0
REFUSED_BIND_LINGER_S = 1.0
MAX_MALFORMED = 20
MALFORMED_PERIOD_S = 60.0
MAX_HELD_OCTETS = 256 * 1024
MAX_WRONG_TYPES = 2
MAX_LATE = 1000
SILENT_S = 1.0
SAID_NOTHING = -1  # in the place of an unbind's sequence_number: the peer has closed its side without one

_CLASSES = {cls.command_id: cls for cls in pdus.PDU_CLASSES}
_EMPTY: frozenset[type[Pdu]] = frozenset()
_CLOSED = SessionState.CLOSED
# The context of requests the session makes for itself: nobody is told of their answers.
_OWN = object()


class SessionSettings(Struct, frozen=True):
    """Durations in seconds, enquire_link and inactivity_timeout 0 for never. window: unanswered data requests of ours.

    max_pdu: the largest command_length accepted, in octets.
    """

    session_init_timeout: float = 10.0
    enquire_link: float = 30.0
    response_timeout: float = 30.0
    inactivity_timeout: float = 0.0
    window: int = 100
    max_pdu: int = 70_000
    pdu_read_timeout: float = 15.0


class Session:
    """state: SessionState. bound: whether it is one of a bound session. peer_version: the peer's interface_version, 0
    before the bind. out: encoded PDUs that the next `output` returns.

    An SMSC that sends no sc_interface_version is taken to speak the version our bind named.
    pending: legal requests of the peer that wait for `respond`.
    """

    def __init__(self, role: Role, settings: SessionSettings, now: float, *, first_sequence_number: int = 1) -> None:
        self.role = role
        self.settings = settings
        self.peer_version = 0
        self.pending = 0
        self._framer = Framer(settings.max_pdu)
        self.out: list[bytes] = []
        self._next_sequence_number = first_sequence_number
        # Ours, unanswered: sequence_number -> (context, response class, deadline), oldest first.
        self._outstanding: dict[int, tuple[object, type[Pdu], float]] = {}
        self._control: dict[int, tuple[object, type[Pdu], float]] = {}
        # The youngest of those given up, whose answer may come yet: sequence_number -> (context, response class).
        self._late: dict[int, tuple[object, type[Pdu]]] = {}
        self._bind: Bind | None = None  # the peer's, waiting for accept_bind or refuse_bind
        self._held: list[bytes] = []  # PDUs behind such a bind, or of an SMSC that has not answered ours yet
        self._held_octets = 0
        self._bind_version = 0  # of the bind we sent
        self._last_received_at = now
        self._last_message_at = now
        self._partial_at = math.inf  # since when a PDU is incomplete
        self._init_by = now + settings.session_init_timeout
        self._unbind_by = math.inf  # our unbind leaves at the latest
        self._close_at = math.inf
        self._ending = ""  # why the session is over, while Over is not yet reported
        self._peer_unbind: int | None = None  # sequence_number of the peer's unbind, while unanswered
        self._malformed_at: deque[float] = deque(maxlen=MAX_MALFORMED + 1)
        self._wrong_types = 0
        self._enter(SessionState.OPEN)

    def _enter(self, state: SessionState) -> None:
        self.state = state
        self.bound = state in BOUND
        self._answerable = frozenset(cls for cls in self._receivable if cls in DATA_REQUESTS)
        # Data requests that may be made in this state, and what answers each.
        self._answers = {cls: DATA_REQUESTS[cls] for cls in legal(self.role, state) if cls in DATA_REQUESTS}

    @property
    def _receivable(self) -> frozenset[type[Pdu]]:
        return legal(Role.ESME if self.role is Role.SMSC else Role.SMSC, self.state)

    @property
    def outstanding(self) -> int:
        """Data requests of ours that are unanswered."""
        return len(self._outstanding)

    @property
    def free(self) -> int:
        """How many more data requests may be made now; 0 when not bound."""
        left = self.settings.window - len(self._outstanding)
        return left if self.bound and left > 0 else 0

    # What we send

    def request(self, pdu: Pdu, now: float, context: object = None) -> int:
        """Send a request of ours and return its sequence_number; `context` comes back with its answer.

        Raises LocalProtocolError, with nothing sent, when the request is not allowed in this state, the window is full
        or a field does not fit. unbind has its own method.
        """
        cls, outstanding = type(pdu), self._outstanding
        data_response = self._answers.get(cls)
        if data_response is None:
            self._check_control(cls)
        elif len(outstanding) >= self.settings.window:
            raise LocalProtocolError("the window is full")
        sequence_number = self._next_sequence_number
        while sequence_number in outstanding or sequence_number in self._control:
            sequence_number = sequence_number % MAX_SEQUENCE_NUMBER + 1
        if pdu.tlvs and self.peer_version < VERSION_3_4:
            pdu = self._without_tlvs(pdu)
        self.out.append(ENCODERS[cls](pdu, sequence_number))
        self._next_sequence_number = sequence_number % MAX_SEQUENCE_NUMBER + 1
        if data_response is not None:
            outstanding[sequence_number] = (context, data_response, now + self.settings.response_timeout)
            self._last_message_at = now
        elif isinstance(pdu, Bind):
            self._bind_version = pdu.interface_version or 1
            self._control[sequence_number] = (_OWN, pdus.RESPONSES[cls], math.inf)
            self._init_by = now + self.settings.session_init_timeout
        elif cls is pdus.EnquireLink:
            self._control[sequence_number] = (context, pdus.EnquireLinkResp, now + self.settings.response_timeout)
        return sequence_number

    def _check_control(self, cls: type[Pdu]) -> None:
        """May a request that is no data request be made now?"""
        if cls not in legal(self.role, self.state) and not (cls is pdus.EnquireLink and self.state is not _CLOSED):
            raise LocalProtocolError(f"{cls.__name__} in {self.state.name}")
        if cls in STATE_AFTER_BIND and self._bind_version:
            raise LocalProtocolError("a bind is already under way")

    def respond(self, response: Pdu) -> None:
        """Answer a Received request under the sequence_number set in `response`; without effect once the link is gone.

        May finish an unbind that waited for it: look at deadline() again afterwards.
        """
        if self.state is _CLOSED or self._ending:
            return
        if response.tlvs and self.peer_version < VERSION_3_4:
            response = self._without_tlvs(response)
        self.out.append(ENCODERS[type(response)](response, response.sequence_number))
        if self.pending:
            self.pending -= 1
        if self._peer_unbind is not None:
            self._answer_unbind_if_ready()

    def accept_bind(self, request: Bind, system_id: str, now: float, *, newest: int = 0xFF) -> None:
        """SMSC role: the session is bound. PDUs that came behind the bind are read in the next tick, due at once.

        newest: the peer is taken to speak no later version than this, whatever it names.
        """
        if not self._is_waiting(request):
            return
        version = min(request.interface_version, newest)
        tlvs = ((int(Tag.SC_INTERFACE_VERSION), bytes([VERSION_3_4])),)
        response = pdus.RESPONSES[type(request)](
            sequence_number=request.sequence_number,
            tlvs=tlvs if version >= VERSION_3_4 else (),
        )
        self.out.append(encode(structs.replace(response, system_id=system_id)))
        self._bind = None
        self.peer_version = version
        self._last_message_at = now
        self._enter(STATE_AFTER_BIND[type(request)])

    def refuse_bind(self, request: Bind, command_status: int, now: float) -> None:
        """SMSC role: answer the bind with an error and end the session one second later."""
        if not self._is_waiting(request):
            return
        self.out.append(error_response(request.command_id, request.sequence_number, command_status))
        self._bind = None
        self._held.clear()
        self._enter(SessionState.UNBINDING)
        self._close_at = now + REFUSED_BIND_LINGER_S

    def _is_waiting(self, request: Bind) -> bool:
        if self.state is _CLOSED or self._ending:
            return False
        if self._bind is not request:
            raise LocalProtocolError("this bind request is not waiting for an answer")
        return True

    def unbind(self, now: float, within: float = math.inf) -> None:
        """End politely: no new requests either way; unbind once everything is answered, or response_timeout is over, or
        `within` seconds."""
        if self.bound:
            self._enter(SessionState.UNBINDING)
            self._unbind_by = now + min(self.settings.response_timeout, within)
            self._unbind_if_ready(now)
        elif self.state is SessionState.OPEN:
            self._ending = self._ending or "ended before a bind"

    def output(self) -> bytes:
        """What is to be written now; the next call returns what came after."""
        out, self.out = self.out, []
        return b"".join(out)

    def _without_tlvs(self, pdu: Pdu) -> Pdu:
        """Peers before 3.4 get no TLVs; only text cannot be left out."""
        if not self.bound:
            return pdu
        if tlv(pdu, Tag.MESSAGE_PAYLOAD) is not None:
            raise LocalProtocolError("message_payload for a peer that knows no TLVs")
        return structs.replace(pdu, tlvs=())

    def _request_own(self, pdu: Pdu, now: float) -> None:
        sequence_number = self._next_sequence_number
        while sequence_number in self._outstanding or sequence_number in self._control:
            sequence_number = sequence_number % MAX_SEQUENCE_NUMBER + 1
        self._next_sequence_number = sequence_number % MAX_SEQUENCE_NUMBER + 1
        self._control[sequence_number] = (_OWN, pdus.RESPONSES[type(pdu)], now + self.settings.response_timeout)
        self.out.append(encode(pdu, sequence_number))

    def _unbind_is_ready(self) -> bool:
        return self._unbind_by < math.inf and not self._outstanding and not self.pending

    def _unbind_if_ready(self, now: float) -> None:
        if self._unbind_is_ready() or self._unbind_by <= now:
            self._unbind_by = math.inf
            self._close_at = now + UNBIND_TIMEOUT_S
            self._request_own(pdus.Unbind(), now)

    def _answer_unbind_if_ready(self) -> None:
        """Once all of the peer's requests are answered; an SMSC's also not before it has answered ours: what becomes of
        a submit_sm that it does not answer any more, nobody would know."""
        if not self.pending and not (self.role is Role.ESME and self._outstanding):
            self._answer_unbind()

    def _answer_unbind(self) -> None:
        assert self._peer_unbind is not None
        self._ending = "connection lost"
        if self._peer_unbind != SAID_NOTHING:
            self.out.append(encode(pdus.UnbindResp(sequence_number=self._peer_unbind)))
            self._ending = "the peer unbound"
        self._peer_unbind = None

    # What we receive

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what the connection delivered; returns what it means, in order."""
        if self.state is _CLOSED:
            return []
        if self._ending:
            return self._end()
        events: list[Event] = []
        broken: BadLength | None = None
        if data:
            self._last_received_at = now
        try:
            frames = self._framer.feed(data)
        except BadLength as bad:
            frames, broken = bad.frames, bad
        if not self._framer.partial:
            self._partial_at = math.inf
        elif frames or self._partial_at == math.inf:
            self._partial_at = now
        if self._held and self._bind_is_answered():
            frames = self._held + frames
            self._held, self._held_octets = [], 0
        if frames:
            self._take(frames, events, now)
        if events:
            self._last_message_at = now
        if broken is not None and not self._ending:
            self._nack(broken.sequence_number, CommandStatus.ESME_RINVCMDLEN)
            self._ending = "impossible command_length"
        if self._peer_unbind is not None and not self._ending:
            self._answer_unbind_if_ready()
        if self._ending:
            events += self._end()
        elif self._unbind_by < math.inf:
            self._unbind_if_ready(now)
        return events

    def _take(self, frames: list[bytes], events: list[Event], now: float) -> None:
        """Read complete PDUs until one ends the session, or is a bind, behind which the others must wait."""
        outstanding, happened, decoder_of = self._outstanding, events.append, DECODERS.get
        for position, frame in enumerate(frames):
            if self._bind is not None:
                self._hold(frames[position:])
                return
            _, command_id, command_status, sequence_number = read_header(frame)
            try:
                pdu = decoder_of(command_id, unknown)(frame, sequence_number, command_status)
            except BadPdu as bad:
                self._take_bad(bad, events, now)
            else:
                cls = type(pdu)
                if cls in self._answerable:
                    self.pending += 1
                    happened(Received(pdu))
                    continue
                if cls in DATA_RESPONSES:
                    entry = outstanding.get(sequence_number)
                    if entry is not None and entry[1] is cls:
                        del outstanding[sequence_number]
                        happened(Answered(entry[0], pdu))
                        continue
                if self._bind_version and self.state is SessionState.OPEN and cls in SENT_BY[Role.SMSC]:
                    self._hold([frame])  # some SMSCs deliver what waited before they answer the bind
                else:
                    self._take_other(pdu, events, now)
            if self._ending:
                return

    def _bind_is_answered(self) -> bool:
        """The bind that something is held for."""
        return self._bind is None and self.state is not SessionState.OPEN

    def _hold(self, frames: list[bytes]) -> None:
        self._held += frames
        self._held_octets += sum(map(len, frames))
        if self._held_octets > MAX_HELD_OCTETS:
            self._ending = "too much sent before the bind was answered"

    def _take_other(self, pdu: Pdu, events: list[Event], now: float) -> None:
        """Everything but legal data requests and the answers to ours."""
        sequence_number = pdu.sequence_number
        match pdu:
            case pdus.EnquireLink():
                self.out.append(encode(pdus.EnquireLinkResp(sequence_number=sequence_number)))
            case pdus.Unbind():
                self._take_unbind(sequence_number, now)
            case Bind() if pdus.BindTransceiver in self._receivable:
                self._bind = pdu
                events.append(BindRequested(pdu))
            case pdus.Outbind() | pdus.AlertNotification() if type(pdu) in self._receivable:
                events.append(Received(pdu))
            case pdus.Outbind() | pdus.AlertNotification():
                events.append(Rejected(pdu.command_id, 0))
            case pdus.GenericNack():
                self._take_nack(pdu, events)
            case _ if pdu.command_id & RESPONSE_BIT:
                self._take_response(pdu, events)
            case _:
                self._refuse_here(type(pdu), sequence_number, events)

    def _take_unbind(self, sequence_number: int, now: float) -> None:
        if self._peer_unbind is not None:  # the first one will be answered
            self.out.append(error_response(pdus.Unbind.command_id, sequence_number, int(CommandStatus.ESME_RINVBNDSTS)))
            return
        self._peer_unbind = sequence_number
        self._enter(SessionState.UNBINDING)
        self._unbind_by = math.inf
        self._close_at = min(self._close_at, now + UNBIND_TIMEOUT_S)
        self._answer_unbind_if_ready()

    def _take_nack(self, nack: Pdu, events: list[Event]) -> None:
        entry = self._outstanding.pop(nack.sequence_number, None)
        if entry is not None:
            events.append(Answered(entry[0], nack))
            return
        if self._late.pop(nack.sequence_number, None) is not None:
            events.append(Rejected(nack.command_id, 0))
            return
        entry = self._control.pop(nack.sequence_number, None)
        if entry is None:
            self._ending = "generic_nack for none of our requests: the peer has lost the boundaries"
            return
        self._control_answered(entry, nack, events)

    def _take_response(self, response: Pdu, events: list[Event]) -> None:
        sequence_number = response.sequence_number
        entry = self._outstanding.pop(sequence_number, None)
        if entry is not None:
            # Of the wrong type, or _take would have had it. Only that it failed is known: a temporary error.
            failed = entry[1](sequence_number=sequence_number, command_status=int(CommandStatus.ESME_RSYSERR))
            events.append(Answered(entry[0], failed))
            self._wrong_types += 1
            if self._wrong_types >= MAX_WRONG_TYPES:
                self._ending = "responses of the wrong type"
            return
        late = self._late.get(sequence_number)
        if late is not None and late[1] is type(response):
            del self._late[sequence_number]
            events.append(AnsweredLate(late[0], response))
            return
        entry = self._control.get(sequence_number)
        if entry is None or entry[1] is not type(response):
            events.append(Rejected(response.command_id, 0))
            return
        del self._control[sequence_number]
        self._control_answered(entry, response, events)

    def _control_answered(self, entry: tuple[object, type[Pdu], float], response: Pdu, events: list[Event]) -> None:
        """The answer to a bind, unbind or enquire_link of ours, or the generic_nack that takes its place."""
        context, expected, _ = entry
        if expected is pdus.UnbindResp:
            self._ending = "unbound"
        elif expected is pdus.EnquireLinkResp:
            if context is not _OWN:
                events.append(Answered(context, response))
        elif isinstance(response, BindResp) and not response.command_status:
            version = tlv(response, Tag.SC_INTERFACE_VERSION)
            self.peer_version = version[0] if version else self._bind_version
            self._enter(next(s for bind, s in STATE_AFTER_BIND.items() if pdus.RESPONSES[bind] is expected))
            events.append(Bound(response))
        else:
            status = response.command_status or int(CommandStatus.ESME_RBINDFAIL)
            events.append(BindRefused(status))
            self._ending = f"bind refused with status 0x{status:x}"

    def _take_bad(self, bad: BadPdu, events: list[Event], now: float) -> None:
        """Answer a PDU that cannot be read; too many of them end the session."""
        cls = _CLASSES.get(bad.command_id)
        if isinstance(bad, UnknownCommand) or cls is None:
            answered = not bad.command_id & RESPONSE_BIT
            if answered:
                self._nack(bad.sequence_number, CommandStatus.ESME_RINVCMDID)
            events.append(Rejected(bad.command_id, bad.status if answered else 0))
            return
        if cls not in pdus.RESPONSES:
            events.append(Rejected(bad.command_id, 0))
        elif cls not in self._receivable:
            self._refuse_here(cls, bad.sequence_number, events)
        else:
            self.out.append(error_response(bad.command_id, bad.sequence_number, bad.status))
            events.append(Rejected(bad.command_id, bad.status))
        self._malformed_at.append(now)
        while self._malformed_at[0] <= now - MALFORMED_PERIOD_S:
            self._malformed_at.popleft()
        if len(self._malformed_at) > MAX_MALFORMED and not self._ending:
            self.unbind(now)

    def _refuse_here(self, cls: type[Pdu], sequence_number: int, events: list[Event]) -> None:
        """A request that is not allowed in this state; before a bind that ends the session."""
        again = cls in STATE_AFTER_BIND and self.role is Role.SMSC and self.bound
        status = int(CommandStatus.ESME_RALYBND if again else CommandStatus.ESME_RINVBNDSTS)
        self.out.append(error_response(cls.command_id, sequence_number, status))
        events.append(Rejected(cls.command_id, status))
        if self.state is SessionState.OPEN:
            self._ending = "a request before any bind"

    def _nack(self, sequence_number: int, status: CommandStatus) -> None:
        self.out.append(encode(pdus.GenericNack(sequence_number=sequence_number, command_status=int(status))))

    # Time, and the end

    @property
    def calm(self) -> bool:
        """Bound, and nothing ends: whatever happens from now on, nothing new is due within the next `grain` seconds.
        It stays calm until it is no longer bound."""
        return self.bound and not self._ending and not self._held

    def grain(self) -> float:
        """See `calm`. Above 0."""
        settings = self.settings
        least = min(settings.pdu_read_timeout, settings.response_timeout)
        return min(least, settings.enquire_link or least, settings.inactivity_timeout or least)

    def deadline(self) -> float:
        """When tick must be called next: 0.0 for at once, infinity for never."""
        if self.state is _CLOSED:
            return math.inf
        if self._ending or (self._held and self._bind_is_answered()) or self._unbind_is_ready():
            return 0.0
        at = min(self._close_at, self._unbind_by, self._partial_at + self.settings.pdu_read_timeout)
        for _, _, answer_by in self._outstanding.values():
            at = min(at, answer_by)
            break
        for _, _, answer_by in self._control.values():
            at = min(at, answer_by)
        if self.bound:
            return min(at, self._probe_deadline(), self._inactivity_deadline())
        return min(at, self._init_deadline(), self._dead_deadline())

    def tick(self, now: float) -> list[Event]:
        """Do what is due: probes, timeouts, and what another call had to leave to it."""
        if self.state is _CLOSED:
            return []
        events: list[Event] = []
        if self._held and self._bind_is_answered() and not self._ending:
            events += self.receive(b"", now)
            if events and isinstance(events[-1], Over):
                return events
        if not self._ending:
            self._end_if_due(now)
        if self._ending:
            return events + self._end()
        self._expire(events, now)
        if self._peer_unbind is not None:
            self._answer_unbind_if_ready()
            return events + self._end() if self._ending else events
        if self._inactivity_deadline() <= now:
            self.unbind(now)
        self._unbind_if_ready(now)
        if self._probe_deadline() <= now:
            self._request_own(pdus.EnquireLink(), now)
        return events

    def _end_if_due(self, now: float) -> None:
        if self._close_at <= now:
            if self._peer_unbind is not None:
                self._answer_unbind()
            self._ending = self._ending or "the unbind or refused bind is over"
        elif self._partial_at + self.settings.pdu_read_timeout <= now:
            self._nack(self._framer.partial_sequence_number, CommandStatus.ESME_RINVCMDLEN)
            self._ending = "a PDU stayed incomplete"
        elif self._init_deadline() <= now:
            self._ending = "no bind in time"
        elif self._probe_failed(now):
            self._ending = "enquire_link unanswered"
        elif self._dead_deadline() <= now:
            self._ending = "nothing received"

    def _probe_failed(self, now: float) -> bool:
        """An enquire_link of ours was not answered in time. One that anything else came after is forgotten: some
        clients answer none while they submit, but whoever sends is there."""
        for sequence_number, (context, response, at) in list(self._control.items()):
            if response is pdus.EnquireLinkResp and at <= now:
                if context is not _OWN or self._last_received_at <= at - self.settings.response_timeout:
                    return True
                del self._control[sequence_number]
        return False

    def _expire(self, events: list[Event], now: float) -> None:
        """Give up data requests whose time is over; they are in the order of their deadlines."""
        while self._outstanding:
            sequence_number, (context, response, at) = next(iter(self._outstanding.items()))
            if at > now:
                return
            del self._outstanding[sequence_number]
            events.append(Unanswered(context))
            self._late[sequence_number] = context, response
            if len(self._late) > MAX_LATE:
                del self._late[next(iter(self._late))]

    def _init_deadline(self) -> float:
        return self._init_by if self.state is SessionState.OPEN and self._bind is None else math.inf

    def _dead_deadline(self) -> float:
        if not self.settings.enquire_link:
            return math.inf
        return self._last_received_at + 2 * self.settings.enquire_link + self.settings.response_timeout

    def _probe_deadline(self) -> float:
        if not self.bound or not self.settings.enquire_link:
            return math.inf
        if self._control and any(response is pdus.EnquireLinkResp for _, response, _ in self._control.values()):
            return math.inf
        return self._last_received_at + self.settings.enquire_link

    def _inactivity_deadline(self) -> float:
        if not self.bound or not self.settings.inactivity_timeout:
            return math.inf
        return self._last_message_at + self.settings.inactivity_timeout

    def silent(self, now: float) -> bool:
        """The peer says nothing more, but may still read. False: there is nothing that it could wait for; True: what it
        has asked is answered within a second, and then the session is over."""
        if not self.pending or self._ending:
            return False
        if self._peer_unbind is None:
            self._peer_unbind = SAID_NOTHING
            self._enter(SessionState.UNBINDING)
            self._unbind_by = math.inf
            self._close_at = min(self._close_at, now + SILENT_S)
        return True

    def lost(self, now: float, why: str = "connection lost") -> list[Event]:
        """The transport is gone; [] when the session was over before."""
        if self.state is _CLOSED:
            return []
        self._ending = self._ending or why
        return self._end()

    def _end(self) -> list[Event]:
        requests = [*self._outstanding.values(), *self._control.values()]
        self._outstanding.clear()
        self._control.clear()
        self._late.clear()
        self._held.clear()
        self._bind = None
        self.pending = 0
        self._enter(_CLOSED)
        return [*(Unanswered(context) for context, _, _ in requests if context is not _OWN), Over(self._ending)]
