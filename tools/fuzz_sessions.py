"""Sessions as fuzzing drives them: octets are a row of choices of what the peer and the shell do next."""

from __future__ import annotations

from gateway.smpp import pdu
from gateway.smpp.pdu import PDU_CLASSES, RESPONSES, Pdu
from gateway.smpp.session import Role, SessionSettings
from tools.watched_session import WatchedSession

BINDS = (pdu.BindTransmitter, pdu.BindReceiver, pdu.BindTransceiver)
EXAMPLES: tuple[Pdu, ...] = (
    *(cls() for cls in PDU_CLASSES if cls is not pdu.SubmitMulti),
    pdu.SubmitMulti(dest_addresses=(pdu.SmeAddress(1, 1, "5511987654321"), pdu.DistributionList("all"))),
    pdu.SubmitSm(destination_addr="5511987654321", short_message=b"hi", tlvs=((0x0424, b""), (0x020C, b"\0\7"))),
    pdu.DeliverSm(esm_class=4, short_message=b"id:7 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 "
                  b"stat:DELIVRD err:000 text:", tlvs=((0x001E, b"7\0"), (0x0427, b"\2"))),
    pdu.DataSm(source_addr="28940", destination_addr="5511987654321", tlvs=((0x0424, b"text"),)),
)  # fmt: skip


class Script:
    """Octets as a row of choices; all zeros behind the end."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def octet(self) -> int:
        self._at += 1
        return self._octets[self._at - 1] if self._at <= len(self._octets) else 0

    def octets(self, count: int) -> bytes:
        self._at += count
        return self._octets[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.octets(len(self._octets))


def session_server(octets: bytes) -> None:
    """A client that sends anything, against the SMSC role."""
    _converse(Role.SMSC, Script(octets))


def session_client(octets: bytes) -> None:
    """An operator that sends anything, against the ESME role."""
    _converse(Role.ESME, Script(octets))


def _converse(role: Role, script: Script) -> None:
    watched = WatchedSession(role, SessionSettings(window=4, max_pdu=2_000))
    first = script.octet()
    if first < 192:
        bind, version = BINDS[first % 3], (0x34, 0x33, 0x00, 0x50)[first // 3 % 4]
        if role is Role.SMSC:
            watched.receive(pdu.encode(bind(system_id="esme", interface_version=version), 1))
            watched.answer()
        else:
            watched.request(bind(system_id="esme", interface_version=version))
            watched.receive(pdu.encode(RESPONSES[bind](), 1))
    while script:
        _step(watched, script)
    watched.wait(3600.0)
    assert watched.over, "a session that nobody speaks to does not end"
    assert watched.held_octets() <= watched.most_octets


def _step(watched: WatchedSession, script: Script) -> None:
    match script.octet() % 10:
        case 0:
            watched.receive(script.octets(script.octet()))
        case 1 | 2:
            watched.receive(_example(script) * (1 + script.octet() % 30))
        case 3:
            frame = bytearray(_example(script))
            for _ in range(1 + script.octet() % 3):
                frame[script.octet() % len(frame)] = script.octet()
            watched.receive(bytes(frame))
        case 4:
            body = script.octets(script.octet())
            length = (16 + len(body)).to_bytes(4)
            watched.receive(length + EXAMPLES[script.octet() % len(EXAMPLES)].command_id.to_bytes(4) + bytes(8) + body)
        case 5:
            for _ in range(1 + script.octet() % 40):
                watched.answer(script.octet() % 3)
        case 6:
            watched.request(EXAMPLES[script.octet() % len(EXAMPLES)])
        case 7:
            if watched.unanswered:
                number = sorted(watched.unanswered)[script.octet() % len(watched.unanswered)]
                response = RESPONSES[type(watched.unanswered.pop(number))]
                watched.receive(pdu.encode(response(command_status=script.octet() % 2), number))
        case 8:
            watched.tick()
        case _:
            match script.octet() % 4:
                case 0:
                    watched.unbind()
                case 1 if script.octet() > 200:
                    watched.lose()
                case _:
                    watched.wait(script.octet() / 8)


def _example(script: Script) -> bytes:
    example = EXAMPLES[script.octet() % len(EXAMPLES)]
    return pdu.encode(example, script.octet() % 8)
