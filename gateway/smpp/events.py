"""What a session reports to the shell around it."""

from msgspec import Struct

from .pdu import Bind, BindResp, Pdu


class BindRequested(Struct, frozen=True):
    """SMSC role: answer with Session.accept_bind or refuse_bind. Later PDUs of the peer wait until then."""

    pdu: Bind


class Bound(Struct, frozen=True):
    """ESME role: our bind was accepted."""

    response: BindResp


class BindRefused(Struct, frozen=True):
    """ESME role: our bind was answered with this error; Over follows."""

    command_status: int


class Received(Struct, frozen=True, gc=False):
    """A legal request. All but outbind and alert_notification must be answered with Session.respond."""

    pdu: Pdu


class Answered(Struct, frozen=True):
    """The answer to a request of ours, with the context it was given. It may be an error or a GenericNack."""

    context: object
    response: Pdu


class Unanswered(Struct, frozen=True):
    """A request of ours got no answer in time, or the link is gone: the peer may or may not have it."""

    context: object


class AnsweredLate(Struct, frozen=True):
    """The answer to a request that was given up as Unanswered."""

    context: object
    response: Pdu


class Rejected(Struct, frozen=True):
    """A PDU of the peer that was malformed, unknown or not allowed now. Nothing is left to do but count it.

    command_status: what it was answered with, 0 when it gets no answer (a response, late or of an unknown kind).
    """

    command_id: int
    command_status: int


class Over(Struct, frozen=True):
    """The session has ended and reports nothing more: write what is in output(), then close the transport."""

    reason: str


Event = BindRequested | Bound | BindRefused | Received | Answered | Unanswered | AnsweredLate | Rejected | Over
