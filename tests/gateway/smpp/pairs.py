"""Sessions to test with: one of them bound, or two of them joined in memory."""

from typing import cast

from gateway.smpp import pdu as pdus
from gateway.smpp.events import BindRequested, Bound, Event
from gateway.smpp.session import Role, Session, SessionSettings

START = 1000.0


def pump(smsc: Session, esme: Session, now: float) -> tuple[list[Event], list[Event]]:
    """Carry bytes to and fro until both are silent; returns what the SMSC and what the ESME reported."""
    at_smsc: list[Event] = []
    at_esme: list[Event] = []
    while True:
        towards_smsc, towards_esme = esme.output(), smsc.output()
        if not towards_smsc and not towards_esme:
            return at_smsc, at_esme
        at_smsc += smsc.receive(towards_smsc, now)
        at_esme += esme.receive(towards_esme, now)


def bound_pair(
    bind: type[pdus.Bind] = pdus.BindTransceiver,
    settings: SessionSettings | None = None,
    *,
    interface_version: int = 0x34,
    first_sequence_number: int = 7,
    now: float = START,
) -> tuple[Session, Session]:
    """(smsc, esme), bound; the next request of either has first_sequence_number."""
    settings = settings or SessionSettings()
    smsc = Session(Role.SMSC, settings, now, first_sequence_number=first_sequence_number)
    esme = Session(Role.ESME, settings, now, first_sequence_number=first_sequence_number - 1)
    esme.request(bind(system_id="billing", password="secret", interface_version=interface_version), now)
    (requested,), _ = pump(smsc, esme, now)
    smsc.accept_bind(cast(BindRequested, requested).pdu, "POMBO", now)
    _, (bound,) = pump(smsc, esme, now)
    assert isinstance(bound, Bound)
    return smsc, esme
