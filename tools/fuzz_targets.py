"""What is fuzzed: functions of octets that end quietly, whatever the octets are, or show a promise that is broken.

Each stands for something that reads what a peer wrote. Nothing here needs a fuzzer: tests call the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bridge.provider import BadProof, HttpRequest, HttpResponse, Provider, WebhookRead
from bridge.providers.cloud_api import CloudApi
from bridge.providers.evolution import Evolution
from bridge.providers.waha import Waha
from bridge.providers.wppconnect import Wppconnect
from config.schema import AccountSettings, SmscSettings
from gateway.messages.message import Message, Receipt
from gateway.messages.states import State
from gateway.server import translate
from gateway.server.answers import Refusal
from gateway.smpp import charset, pdu, receipt_text, relay, segments, times
from gateway.smpp.errors import BadPdu, LocalProtocolError
from smsc_client import reports
from smsc_client.outbound import Outbound
from smsc_client.references import References
from smsc_client.remote_ids import id_forms
from tools.fuzz_bodies import BODIES
from tools.fuzz_sessions import EXAMPLES, Script, session_client, session_server

Target = Callable[[bytes], None]

NOW = 1_790_000_000.0
MAX_PDU = 70_000
ALPHABETS = ("gsm7", "latin1", "utf8", "ascii", "cp1252")
LONG = ("udh", "sar", "payload")
PROVIDERS: tuple[Provider, ...] = (
    Evolution(channel="zap", url="http://x", api_key="k", instance="main"),
    Waha(channel="zap", url="http://x", api_key="k", session="main"),
    Wppconnect(channel="zap", url="http://x", api_key="k", session="main"),
    CloudApi(channel="zap", url="http://x", api_key="k", phone_number_id="main", webhook_secret="s", resold=True),
)
ACCOUNTS = tuple(
    AccountSettings.model_validate({"system_id": "esme", "password": "secret", "default_alphabet": alphabet})
    for alphabet in ("gsm7", "latin1", "utf8")
)
OUTBOUNDS = tuple(
    Outbound(
        SmscSettings.model_validate(
            {
                "name": "operator", "connect": "tcp:127.0.0.1:2775", "system_id": "pombo", "password": "secret",
                "long_messages": how, "transliterate": how == "sar", "default_alphabet": alphabet,
            }
        ),
        References(lambda: 0.5),
    )
    for how in LONG
    for alphabet in ("gsm7", "latin1")
)  # fmt: skip
PROOFS = (("Authorization", "Bearer s"),)  # what the last of them wants to see


def pdus(octets: bytes) -> None:
    """One frame: read or refused with a status; what was read is shown, written and read again as the same."""
    command_id = EXAMPLES[octets[0] % len(EXAMPLES)].command_id if octets else 0
    frame = (15 + max(len(octets), 1)).to_bytes(4) + command_id.to_bytes(4) + bytes(4) + b"\0\0\0\7" + octets[1:]
    try:
        read = pdu.decode(frame)
    except BadPdu as bad:
        assert bad.status and not command_id & 0x80000000
        return
    repr(read)
    try:
        again = pdu.encode(read)
    except LocalProtocolError:  # control characters, or a response with strings that are too long
        assert command_id & 0x80000000 or any(octet < 32 or octet == 127 for octet in frame[16:])
        return
    if not any(tag == 0 for tag, _ in read.tlvs):  # those at the end read as padding
        assert pdu.decode(again) == read


def submits(octets: bytes) -> None:
    """A submit_sm, data_sm or submit_multi on its whole way: to a message, to the operator, and its receipt back."""
    script = Script(octets)
    command_id = (pdu.SubmitSm, pdu.DataSm, pdu.SubmitMulti)[script.octet() % 3].command_id
    account, outbound = ACCOUNTS[script.octet() % len(ACCOUNTS)], OUTBOUNDS[script.octet() % len(OUTBOUNDS)]
    rest = script.rest()
    frame = (16 + len(rest)).to_bytes(4) + command_id.to_bytes(4) + bytes(4) + b"\0\0\0\7" + rest
    messages: list[Message] = []
    try:
        read = pdu.decode(frame)
    except BadPdu:
        return
    terms: Any = {"now": NOW, "country": "BR", "default_validity": 3600.0}
    taken: Message | Refusal | None = None
    if isinstance(read, pdu.SubmitSm):
        taken = translate.submit_sm(read, account, **terms)
    elif isinstance(read, pdu.DataSm):
        taken = translate.data_sm(read, account, **terms)
    elif isinstance(read, pdu.SubmitMulti):
        several = translate.submit_multi(read, account, **terms)
        if not isinstance(several, Refusal):
            messages, refused = several
            pdu.encode(pdu.SubmitMultiResp(unsuccess_smes=tuple(refused)))
    if isinstance(taken, Message):
        messages = [taken]
    for message in messages:
        assert message.expires_at > NOW and (message.schedule_at == 0.0 or message.schedule_at > NOW)
        built = outbound.submit_sm(message, NOW)
        for to_operator in built if isinstance(built, list) else [built]:
            pdu.encode(to_operator)
        receipt = Receipt(
            message_id="7", source=message.dest, source_ton=message.dest_ton, source_npi=message.dest_npi,
            dest=message.source, dest_ton=message.source_ton, dest_npi=message.source_npi,
            service_type=message.service_type, state=State.DELIVERED, err=0, submitted_at=NOW, done_at=NOW,
            channel="operator",
        )  # fmt: skip
        pdu.encode(translate.deliver_sm(receipt, 0x34))


def receipts(octets: bytes) -> None:
    """The text of a receipt; and a deliver_sm or data_sm of the operator as a whole."""
    read = receipt_text.parse(octets)
    if read is not None and read.message_id:
        assert len(id_forms(read.message_id)) <= 60
    for command_id in (pdu.DeliverSm.command_id, pdu.DataSm.command_id):
        frame = (16 + len(octets)).to_bytes(4) + command_id.to_bytes(4) + bytes(4) + b"\0\0\0\7" + octets
        try:
            delivered = pdu.decode(frame)
        except BadPdu:
            continue
        assert isinstance(delivered, pdu.DeliverSm | pdu.DataSm)
        reports.read(delivered, "operator", NOW)
    try:
        times.parse_absolute_or_relative(octets[:17].decode("latin-1"), NOW, 0x61)
    except times.BadTime as bad:
        assert bad.status == 0x61


def parts(octets: bytes) -> None:
    """User data of a submit_sm: counted, joined, relayed and split into PDUs that can be written."""
    script = Script(octets)
    esm_class, data_coding, choice = script.octet(), script.octet(), script.octet()
    account, channel = ALPHABETS[choice % 5], ALPHABETS[choice // 5 % 5]
    in_payload = choice >= 128
    repeat = script.octet()
    tlvs = (
        () if repeat & 1
        else ((0x020C, script.octets(2)), (0x020E, script.octets(1)), (0x020F, script.octets(repeat >> 1 & 3)))
    )  # fmt: skip
    user_data = script.rest() * (1 + (repeat >> 5))
    if not in_payload:
        user_data = user_data[:255]
    assert len(user_data) <= MAX_PDU or in_payload
    offset = segments.split_udh(esm_class, user_data)[1]
    assert offset <= len(user_data)
    concat = segments.concat_of(esm_class, user_data, tlvs)
    assert concat is None or 1 <= concat.number <= concat.total
    segments.has_port_or_special(esm_class, user_data, tlvs)
    segments.text_of(esm_class, data_coding, user_data, account)
    assert len(segments.renumber(esm_class, user_data, 77)) == len(user_data)
    count = segments.count_segments(user_data, data_coding, esm_class, account, concatenated=concat is not None)
    assert 1 <= count <= max(1, len(user_data))
    for transliterate in (False, True):
        for long_messages in LONG:
            sent = relay.outgoing_parts(
                user_data, esm_class, data_coding, account, channel, transliterate=transliterate,
                in_payload=in_payload, long_messages=long_messages, ref=repeat, tlvs=tlvs[:1] if tlvs else (),
            )  # fmt: skip
            for one in sent:
                pdu.encode(
                    pdu.SubmitSm(
                        destination_addr="1", esm_class=one.esm_class, data_coding=one.data_coding,
                        short_message=one.short_message, tlvs=one.tlvs,
                    )
                )  # fmt: skip
            assert len(sent) <= segments.MAX_PARTS


def text(octets: bytes) -> None:
    """Octets in every alphabet: always read; what was read is written again and shows the same."""
    script = Script(octets)
    data_coding, single, locking = script.octet(), script.octet() & 3, script.octet() & 3
    user_data = script.rest()
    for alphabet in ALPHABETS:
        shown = charset.decode_text(user_data, data_coding, alphabet, single_shift=single, locking_shift=locking)
        coding, written = charset.choose(shown, alphabet)
        assert charset.decode_text(written, coding, alphabet) == shown or coding == charset.UCS2
        plain = charset.transliterate(shown)
        assert charset.fits_gsm7(plain) or plain == shown
        charset.encode_text(shown, alphabet, "replace")


def webhooks(octets: bytes) -> None:
    """A body from the Internet to every provider's webhook, and as every provider's answer."""
    for provider in PROVIDERS:
        for path in ("/webhooks/zap", "/webhooks/zap/messages-upsert"):
            read = provider.read_webhook(HttpRequest("POST", path, PROOFS, octets), NOW)
            assert isinstance(read, WebhookRead | BadProof)
            if isinstance(read, WebhookRead):
                for report in read.reports:
                    assert report.remote_id and 0 < report.at <= NOW
                for inbound in (*read.inbound, *(one.text for one in read.hidden)):
                    inbound.text.encode()  # goes into the store and out as SMPP
                    inbound.remote_id.encode()
                    assert inbound.text and 0 < inbound.at <= NOW
        for status in (200, 201, 400, 401, 422, 429, 500):
            response = HttpResponse(status, octets)
            provider.read_send(response)
            provider.read_state(response)
            if provider.check_numbers:
                answers = provider.read_check(response, ["5511987654321"])
                assert set(answers) == {"5511987654321"}


TARGETS: dict[str, Target] = {
    "session_server": session_server,
    "session_client": session_client,
    "pdu": pdus,
    "submit": submits,
    "receipt_text": receipts,
    "segments": parts,
    "charset": text,
    "webhooks": webhooks,
}


def seeds(name: str) -> list[bytes]:
    """Octets to begin with, made of valid input."""
    frames = [pdu.encode(example, 1) for example in EXAMPLES]
    match name:
        case "session_server" | "session_client":
            steps = [bytes((1, number, 1, 1)) for number in range(len(EXAMPLES))]
            return [b"\2" + b"".join(steps), *(b"\2" + step + b"\5\0\0\6\x19\7\0\0\x08" for step in steps)]
        case "pdu":
            return [bytes((number,)) + frame[16:] for number, frame in enumerate(frames)]
        case "receipt_text":
            return [frame[16:] for frame in frames] + [b"id:7 stat:DELIVRD err:000 done date:2601010000 text:x"]
        case "submit":
            ways = (pdu.SubmitSm, pdu.DataSm, pdu.SubmitMulti)
            return [
                bytes((ways.index(type(example)), number, number)) + pdu.encode(example)[16:]
                for example in EXAMPLES
                if type(example) in ways
                for number in range(3)
            ]
        case "segments":
            long = b"Bom dia, sua fatura vence amanha. " * 5
            return [b"\0\0\0\1" + long, b"\x40\0\0\1\5\0\3\7\2\1" + long, b"\x40\x08\x80\x21\6\x08\4\0\7\2\1" + long]
        case "charset":
            return [b"\0\0\0Ol\x07 \x1be", b"\x08\0\0\0O\0l\xd8\x3d\xde\x00", b"\3\0\0Ol\xe1"]
        case "webhooks":
            return [msgspec.json.encode(body) for bodies in BODIES.values() for body in bodies]
    return []
