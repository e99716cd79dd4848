"""Session states, and which request may be sent in which of them: SMPP 3.4, 2.2 and 2.3."""

from enum import Enum
from functools import cache

from . import pdu as pdus
from .pdu import Pdu


class Role(Enum):
    """Our side of the link."""

    SMSC = "smsc"
    ESME = "esme"


class SessionState(Enum):
    """UNBINDING: one side has sent unbind or is about to, or a bind was refused and the link closes shortly."""

    OPEN = "open"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


BOUND = frozenset({SessionState.BOUND_TX, SessionState.BOUND_RX, SessionState.BOUND_TRX})

STATE_AFTER_BIND: dict[type[Pdu], SessionState] = {
    pdus.BindTransmitter: SessionState.BOUND_TX,
    pdus.BindReceiver: SessionState.BOUND_RX,
    pdus.BindTransceiver: SessionState.BOUND_TRX,
}

_OPEN = frozenset({SessionState.OPEN})
_TX = frozenset({SessionState.BOUND_TX, SessionState.BOUND_TRX})
_RX = frozenset({SessionState.BOUND_RX, SessionState.BOUND_TRX})

# By sender: the request and the states it is legal in. unbind and enquire_link are legal in all of them.
SENT_BY: dict[Role, dict[type[Pdu], frozenset[SessionState]]] = {
    Role.ESME: {
        pdus.BindTransmitter: _OPEN,
        pdus.BindReceiver: _OPEN,
        pdus.BindTransceiver: _OPEN,
        pdus.SubmitSm: _TX,
        pdus.SubmitMulti: _TX,
        pdus.QuerySm: _TX,
        pdus.CancelSm: _TX,
        pdus.ReplaceSm: _TX,
        pdus.DataSm: _TX,
    },
    Role.SMSC: {
        pdus.DeliverSm: _RX,
        pdus.DataSm: _RX,
        pdus.AlertNotification: _RX,
        pdus.Outbind: _OPEN,
    },
}

# Requests that carry or concern messages: they count against the window and their answer is the adapter's business.
DATA_REQUESTS: dict[type[Pdu], type[Pdu]] = {
    request: response
    for request, response in pdus.RESPONSES.items()
    if request not in STATE_AFTER_BIND and request not in (pdus.Unbind, pdus.EnquireLink)
}
DATA_RESPONSES = frozenset(DATA_REQUESTS.values())


@cache
def legal(sender: Role, state: SessionState) -> frozenset[type[Pdu]]:
    """The requests of the table above that `sender` may send in `state`."""
    return frozenset(request for request, states in SENT_BY[sender].items() if state in states)
