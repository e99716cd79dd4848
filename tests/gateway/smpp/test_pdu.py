"""Frames and values: there and back, what is refused, and what a value shows of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.smpp import pdu as pdus
from gateway.smpp.codec import MOST_KNOWN, fields_of, make_decoder
from gateway.smpp.errors import BadPdu, LocalProtocolError, UnknownCommand
from gateway.smpp.fields import CString, Integer, Kind, ShortMessage, Unsuccesses
from gateway.smpp.pdu import decode, encode, tlv

PRINTABLE = "".join(chr(code) for code in range(256) if chr(code).isprintable())
tlvs = st.lists(st.tuples(st.integers(1, 0xFFFF), st.binary(max_size=30)), max_size=4).map(tuple)
octet = st.integers(0, 255)


def name(chars: int, ascii_only: bool = False, shortest: int = 0) -> st.SearchStrategy[str]:
    alphabet = "".join(filter(str.isascii, PRINTABLE)) if ascii_only else PRINTABLE
    return st.text(alphabet, min_size=shortest, max_size=chars)


def values(kind: Kind) -> st.SearchStrategy[object]:
    match kind:
        case Integer():
            return st.integers(0, kind.largest)
        case CString():
            return name(kind.octets - 1, kind.ascii, int(kind.required))
        case ShortMessage():
            return st.binary(max_size=255)
        case Unsuccesses():
            entry = st.builds(pdus.UnsuccessSme, octet, octet, name(20), st.integers(0, 0xFFFFFFFF))
            return st.lists(entry, max_size=5).map(tuple)
        case _:
            sme = st.builds(pdus.SmeAddress, octet, octet, name(20))
            return st.lists(sme | st.builds(pdus.DistributionList, name(20)), min_size=1, max_size=5).map(tuple)


def any_pdu(cls: type[pdus.Pdu]) -> st.SearchStrategy[pdus.Pdu]:
    kinds = dict(fields_of(cls))
    status = st.integers(0, 0xFFFFFFFF) if cls.command_id & 0x80000000 else st.just(0)
    return st.builds(
        cls,
        sequence_number=st.integers(0, 0xFFFFFFFF),
        command_status=status,
        tlvs=tlvs if kinds else st.just(()),
        **{field: values(kind) for field, kind in kinds.items()},
    )


@given(st.sampled_from(pdus.PDU_CLASSES).flatmap(any_pdu))
def test_every_pdu_survives_the_wire(pdu: pdus.Pdu) -> None:
    octets = encode(pdu)
    assert int.from_bytes(octets[:4]) == len(octets)
    assert decode(octets) == pdu


@given(st.binary(max_size=120), st.sampled_from([cls.command_id for cls in pdus.PDU_CLASSES] + [0x22, 0x111]))
def test_any_octets_are_read_or_refused_but_never_crash(body: bytes, command_id: int) -> None:
    octets = b"".join(number.to_bytes(4) for number in (16 + len(body), command_id, 0, 5)) + body
    try:
        decode(octets)
    except BadPdu as bad:
        assert (bad.command_id, bad.sequence_number) == (command_id, 5)
        assert bad.status
        assert not command_id & 0x80000000


@pytest.mark.parametrize("cls", pdus.PDU_CLASSES, ids=lambda cls: cls.__name__)
def test_the_specification_knows_as_many_octets_as_our_empty_pdu_has(cls: type[pdus.Pdu]) -> None:
    empty = {
        **dict.fromkeys(("BindReceiver", "BindTransmitter", "BindTransceiver"), 7),
        **dict.fromkeys(("BindReceiverResp", "BindTransmitterResp", "BindTransceiverResp"), 1),
        **dict.fromkeys(("SubmitSm", "DeliverSm"), 17),
        **dict.fromkeys(("SubmitSmResp", "DeliverSmResp", "DataSmResp"), 1),
        **dict.fromkeys(("Outbind", "SubmitMultiResp"), 2),
        **dict.fromkeys(("QuerySm", "QuerySmResp"), 4),
        "CancelSm": 8,
        "ReplaceSm": 9,
        "DataSm": 10,
        "SubmitMulti": 19,
        "AlertNotification": 6,
    }
    pdu = pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(),)) if cls is pdus.SubmitMulti else cls()
    assert len(encode(pdu)) == 16 + empty.get(cls.__name__, 0)


def test_a_submit_sm_has_the_octets_of_the_specification() -> None:
    submit = pdus.SubmitSm(
        sequence_number=7,
        source_addr_ton=3,
        source_addr="28940",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="5511987654321",
        registered_delivery=1,
        short_message=b"hi",
        tlvs=((0x0204, b"\x00\x07"),),
    )
    octets = bytes.fromhex(
        "0000003b0000000400000000000000070003003238393430000101353531313938373635343332310000000000000100000002"
        "6869020400020007"
    )
    assert encode(submit) == octets
    assert decode(octets) == submit
    assert encode(submit, 0x01020304) == octets[:12] + b"\x01\x02\x03\x04" + octets[16:]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (pdus.SubmitSmResp(sequence_number=5, command_status=0x58), "0000001080000004" + "00000058" + "00000005"),
        (pdus.DeliverSmResp(sequence_number=5), "0000001180000005" + "00000000" + "00000005" + "00"),
        (pdus.BindReceiverResp(sequence_number=5, command_status=14), "0000001080000001" + "0000000e" + "00000005"),
        (pdus.DeliverSmResp(sequence_number=5, command_status=8), "0000001180000005" + "00000008" + "00000005" + "00"),
        (pdus.DataSmResp(sequence_number=5, command_status=8), "0000001180000103" + "00000008" + "00000005" + "00"),
        (pdus.QuerySmResp(sequence_number=5, command_status=8), "0000001480000003" + "0000000800000005" + "00000000"),
        (pdus.SubmitMultiResp(sequence_number=5, command_status=8), "0000001280000021" + "0000000800000005" + "0000"),
        (
            pdus.DataSmResp(sequence_number=5, command_status=0xFE, tlvs=((0x0425, b"\x01"),)),
            "0000001680000103" + "000000fe" + "00000005" + "00" + "0425000101",
        ),
    ],
)
def test_an_error_response_leaves_out_its_body_where_the_specification_does(octets: pdus.Pdu, expected: str) -> None:
    assert encode(octets).hex() == expected


@pytest.mark.parametrize("cls", pdus.RESPONSES, ids=lambda cls: cls.__name__)
def test_a_request_cut_inside_a_mandatory_field_is_refused_wherever_it_is_cut(cls: type[pdus.Pdu]) -> None:
    kinds = dict(fields_of(cls))
    if not kinds:
        return
    filled = {field: "1" for field, kind in kinds.items() if isinstance(kind, CString)}
    pdu = structs.replace(cls(), **filled)
    if isinstance(pdu, pdus.SubmitMulti):
        pdu = structs.replace(pdu, dest_addresses=(pdus.SmeAddress(1, 1, "5"), pdus.DistributionList("l")))
    if "short_message" in kinds:
        pdu = structs.replace(pdu, short_message=b"text")
    whole = encode(pdu)
    text_at = len(whole) - 5 if "short_message" in kinds else len(whole)
    for end in range(16, len(whole)):
        if isinstance(pdu, pdus.Bind) and end == len(whole) - 2:
            assert decode(whole[:end]) == structs.replace(pdu, address_range="")
            continue
        with pytest.raises(BadPdu) as caught:
            decode(whole[:end])
        assert caught.value.status == (0x01 if end >= text_at else 0x02), end


@pytest.mark.parametrize("cls", pdus.RESPONSES.values(), ids=lambda cls: cls.__name__)
def test_a_response_may_end_anywhere(cls: type[pdus.Pdu]) -> None:
    whole = encode(structs.replace(cls(), tlvs=((0x0428, b"\x01"), (0x0427, b"\x02"))))
    for end in range(16, len(whole)):
        assert type(decode(whole[:end])) is cls


@pytest.mark.parametrize(
    ("pdu", "field", "status"),
    [
        (pdus.BindReceiver(), "system_id", 0x0F),
        (pdus.BindTransmitter(), "password", 0x0E),
        (pdus.BindTransceiver(), "system_type", 0x53),
        (pdus.BindTransceiver(), "address_range", 0x0D),
        (pdus.SubmitSm(), "service_type", 0x15),
        (pdus.SubmitSm(), "source_addr", 0x0A),
        (pdus.SubmitSm(), "destination_addr", 0x0B),
        (pdus.SubmitSm(), "schedule_delivery_time", 0x61),
        (pdus.SubmitSm(), "validity_period", 0x62),
        (pdus.DataSm(), "source_addr", 0x0A),
        (pdus.DataSm(), "destination_addr", 0x0B),
        (pdus.QuerySm(), "message_id", 0x0C),
        (pdus.CancelSm(), "message_id", 0x0C),
        (pdus.ReplaceSm(), "validity_period", 0x62),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_string_is_refused_with_its_own_status_once_it_is_too_long(pdu: pdus.Pdu, field: str, status: int) -> None:
    kind = dict(fields_of(type(pdu)))[field]
    assert isinstance(kind, CString)
    if isinstance(pdu, pdus.SubmitSm) and field != "destination_addr":
        pdu = structs.replace(pdu, destination_addr="1")
    longest = encode(structs.replace(pdu, **{field: "7" * (kind.octets - 1)}))
    assert getattr(decode(longest), field) == "7" * (kind.octets - 1)
    with pytest.raises(LocalProtocolError, match=field):
        encode(structs.replace(pdu, **{field: "7" * kind.octets}))
    at = longest.index(b"7" * (kind.octets - 1))
    with pytest.raises(BadPdu) as caught:
        decode((len(longest) + 1).to_bytes(4) + longest[4:at] + b"7" + longest[at:])
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("destinations", "status"),
    [
        ("00", 0x33),
        ("ff", 0x33),
        ("01" + "03" + "0101" + "3500", 0x40),
        ("01" + "01" + "0101" + "35" * 21 + "00", 0x0B),
        ("01" + "02" + "35" * 21 + "00", 0x34),
        ("02" + "01" + "0101" + "3500", 0x02),
    ],
)
def test_a_bad_destination_list_is_refused(destinations: str, status: int) -> None:
    body = bytes.fromhex("00000000" + destinations)
    with pytest.raises(BadPdu) as caught:
        decode((16 + len(body)).to_bytes(4) + bytes.fromhex("000000210000000000000007") + body)
    assert caught.value.status == status


def test_tlvs_keep_their_order_repeats_and_unknown_tags() -> None:
    found = ((0x0381, b"1"), (0x1403, b""), (0x0381, b"2"), (0xFFFF, b"\x00" * 300))
    pdu = decode(encode(pdus.DeliverSm(tlvs=found)))
    assert pdu.tlvs == found
    assert (tlv(pdu, 0x0381), tlv(pdu, 0x1403), tlv(pdu, 0x0424)) == (b"1", b"", None)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0", b"abc", b"\0" * 4, b"\0" * 9])
def test_padding_behind_the_last_tlv_is_ignored(padding: bytes) -> None:
    octets = encode(pdus.SubmitSm(destination_addr="1", tlvs=((0x0204, b"\0\0"),))) + padding
    assert decode(len(octets).to_bytes(4) + octets[4:]).tlvs == ((0x0204, b"\0\0"),)


def test_a_payload_as_large_as_a_tlv_can_be_passes() -> None:
    payload = bytes(range(256)) * 255 + bytes(255)
    assert tlv(decode(encode(pdus.DataSm(destination_addr="1", tlvs=((0x0424, payload),)))), 0x0424) == payload


@pytest.mark.parametrize(
    "pdu",
    [
        pdus.SubmitSm(destination_addr="1", source_addr="28940\0"),
        pdus.SubmitSm(destination_addr="1", source_addr="28\n40"),
        pdus.SubmitSm(destination_addr="€"),
        pdus.SubmitSm(destination_addr="1", esm_class=256),
        pdus.SubmitSm(destination_addr="1", esm_class=-1),
        pdus.SubmitSm(destination_addr="1", short_message=b"x" * 256),
        pdus.SubmitSm(destination_addr="1", sequence_number=1 << 32),
        pdus.SubmitSm(destination_addr="1", tlvs=((0x0424, b"x" * 65_536),)),
        pdus.SubmitSm(destination_addr="1", tlvs=((0x10000, b""),)),
        pdus.SubmitMulti(),
        pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(),) * 255),
        pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(256),)),
        pdus.SubmitMulti(dest_addresses=(pdus.DistributionList("a\0b"),)),
    ],
    ids=str,
)
def test_what_does_not_fit_is_not_sent(pdu: pdus.Pdu) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode(pdu)
    assert "28" not in str(caught.value)


@pytest.mark.parametrize("command_id", [0x22, 0x23, 0x24, 0x111, 0x112, 0x113, 0x00010200, 0x80000111])
def test_commands_of_other_versions_are_unknown(command_id: int) -> None:
    with pytest.raises(UnknownCommand) as caught:
        decode(bytes.fromhex("00000010") + command_id.to_bytes(4) + bytes(4) + (9).to_bytes(4))
    assert (caught.value.command_id, caught.value.sequence_number, caught.value.status) == (command_id, 9, 0x03)


def test_the_status_of_a_request_means_nothing() -> None:
    assert decode(bytes.fromhex("00000010000000150000050000000007")) == pdus.EnquireLink(sequence_number=7)


def test_a_pdu_shows_neither_text_nor_password_nor_numbers() -> None:
    submit = pdus.SubmitSm(source_addr="28940", destination_addr="5511987654321", short_message=b"your code is 1234")
    data = pdus.DataSm(destination_addr="5511987654321", tlvs=((0x0424, b"your code is 1234"),))
    multi = pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(1, 1, "5511987654321"),))
    failed = pdus.SubmitMultiResp(unsuccess_smes=(pdus.UnsuccessSme(1, 1, "5511987654321", 0x0B),))
    bind = pdus.BindTransceiver(system_id="billing", password="s3cret", address_range="")
    for shown in (repr(submit), repr(data), repr(multi), repr(failed), repr(bind), f"{submit}"):
        assert not any(secret in shown for secret in ("28940", "551198765", "code", "1234", "s3cret"))
    assert repr(bind) == "BindTransceiver(system_id='billing', password=<6>)"
    assert repr(submit) == "SubmitSm(source_addr=****0, destination_addr=****4321, short_message=<17>)"
    assert repr(data) == "DataSm(tlvs=[0x0424(17)], destination_addr=****4321)"


@pytest.mark.parametrize(("cls", "varying"), [(pdus.SubmitSm, "destination_addr"), (pdus.DeliverSm, "source_addr")])
def test_what_is_known_from_earlier_pdus_reads_as_if_it_were_new(cls: type[pdus.Pdu], varying: str) -> None:
    """Whatever a frame is cut to and whatever octet of it is another one."""
    long = {"source_addr": "5511987654321", "destination_addr": "28940", "short_message": b"text"}
    pdu = structs.replace(cls(service_type="CMT"), **long)  # type: ignore[call-arg]
    octets = encode(pdu)
    wrong = [
        octets[:at] + bytes((octet,)) + octets[at + 1 :] for at in range(16, len(octets)) for octet in (0, 65, 200)
    ]
    cut = [octets[:end] for end in range(16, len(octets))]
    for frame in wrong + cut:
        assert decode(octets) == pdu

        def outcome(read: object, *args: int, frame: bytes = frame) -> object:
            try:
                return read(frame, *args)  # type: ignore[operator]
            except BadPdu as bad:
                return bad.status

        new = make_decoder(cls, cls.command_id, fields_of(cls), varying=varying)
        plain = make_decoder(cls, cls.command_id, fields_of(cls))
        assert outcome(decode) == outcome(new, 0, 0) == outcome(plain, 0, 0)


def test_what_is_known_has_a_bound_and_does_not_keep_what_is_refused() -> None:
    for number in range(2 * MOST_KNOWN + 10):
        pdu = pdus.SubmitSm(source_addr=f"{number}", destination_addr="5511987654321", validity_period=f"{number}")
        assert decode(encode(pdu)) == pdu
    for scope in (pdus.DECODERS[pdus.SubmitSm.command_id].__globals__, pdus.ENCODERS[pdus.SubmitSm].__globals__):  # type: ignore[attr-defined]
        assert 0 < len(scope["heads"]) <= MOST_KNOWN
        assert 0 < len(scope["tails"]) <= MOST_KNOWN
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            encode(pdus.SubmitSm(source_addr="a\n", destination_addr="5511987654321"))
        with pytest.raises(LocalProtocolError):
            encode(pdus.SubmitSm(source_addr="\u20ac", destination_addr="5511987654321"))
