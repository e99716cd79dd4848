"""Makes the decode and encode function of a PDU class from its annotated fields.

The functions are written as source text and compiled once, at import: straight-line code without a loop over fields, in
which neighbouring integers share one struct call. `decode_source` and `encode_source` return that text, to be read.

Of a submit_sm or deliver_sm one field is another one in each: the number of a person. What stands before it (the head)
and behind it (the tail, up to the text) an ESME or operator repeats all day: those octets, or values, are looked up in
what was read, or written, before. Only what was found to be good is kept there.

Requests are read strictly, since a bad one has an answer; responses and PDUs without a body are read leniently, as
nobody may answer a response. Source: SMPP 3.4, 3.2 and 4.
"""

import re
from collections.abc import Callable
from struct import Struct as Layout
from struct import error as LayoutError
from typing import Any, get_type_hints

from . import lists
from .constants import HEADER_OCTETS, RESPONSE_BIT, CommandStatus
from .errors import BadPdu, LocalProtocolError
from .fields import CString, Destinations, Integer, Kind, ShortMessage, Unsuccesses

# Body fields as (name, kind), in wire order.
Fields = list[tuple[str, Kind]]
# (frame, sequence_number, command_status) -> PDU
Decoder = Callable[[bytes, int, int], Any]
# (PDU, sequence_number) -> frame
Encoder = Callable[[Any, int], bytes]

HEADER = Layout(">4I")
TLV_HEADER = Layout(">2H")
_read_tlv_header, _pack_tlv_header = TLV_HEADER.unpack_from, TLV_HEADER.pack
MOST_KNOWN = 1024  # heads, and tails, of one kind of PDU; then they are forgotten
# A NUL would shift the fields behind it. Octets from 0x80 on mean a character to somebody, whatever Latin-1 says.
_CONTROLS = re.compile("[\0-\x1f\x7f]")
_RINVCMDLEN = int(CommandStatus.ESME_RINVCMDLEN)
_RINVMSGLEN = int(CommandStatus.ESME_RINVMSGLEN)
_RINVOPTPARSTREAM = int(CommandStatus.ESME_RINVOPTPARSTREAM)


def fields_of(cls: type) -> Fields:
    """The body fields of a PDU class; fields without an annotated kind (header, TLVs) are left out."""
    found: Fields = []
    for name, hint in get_type_hints(cls, include_extras=True).items():
        kinds = [extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Kind)]
        if kinds:
            found.append((name, kinds[0]))
    return found


def make_decoder(cls: type, command_id: int, fields: Fields, *, varying: str = "") -> Decoder:
    """varying: the field between head and tail, where the class has them."""
    scope: dict[str, Any] = {
        "new": cls,
        "BadPdu": BadPdu,
        "LayoutError": LayoutError,
        "read_tlvs": read_tlvs,
        "read_tlvs_leniently": read_tlvs_leniently,
        "read_destinations": lists.read_destinations,
        "read_unsuccesses": lists.read_unsuccesses,
        "heads": {},
        "tails": {},
        "head_octets": 0,
        "tail_octets": 0,
    }
    for count in range(1, 9):
        scope[f"octets{count}"] = Layout(f"{count}B").unpack_from
    exec(decode_source(command_id, fields, varying=varying), scope)
    decoder: Decoder = scope["decode"]
    return decoder


def make_encoder(command_id: int, fields: Fields, *, bare_on_error: bool = False, varying: str = "") -> Encoder:
    scope: dict[str, Any] = {
        "chars": {number: chr(number) for number in range(256)},
        "header": HEADER.pack,
        "header_and_nul": Layout(">4Ix").pack,
        "heads": {},
        "tails": {},
        "controls": _CONTROLS.search,
        "write_tlvs": write_tlvs,
        "write_destinations": lists.write_destinations,
        "write_unsuccesses": lists.write_unsuccesses,
        "LocalProtocolError": LocalProtocolError,
        "LayoutError": LayoutError,
    }
    exec(encode_source(command_id, fields, bare_on_error=bare_on_error, varying=varying), scope)
    encoder: Encoder = scope["encode"]
    return encoder


def read_tlvs(frame: bytes, at: int, command_id: int, sequence_number: int) -> tuple[tuple[int, bytes], ...]:
    """The TLVs from `at` to the end of the frame. NULs and up to three stray octets behind the last one are ignored.

    So is a NUL before the first one where they make no sense with it: php-smpp ends texts so, and does not count it.
    Raises BadPdu when a length runs past the end.
    """
    tlvs: list[tuple[int, bytes]] = []
    first: int | None = at  # None: the NUL there has been left out
    length, padding = len(frame), 0  # padding: where nothing but NULs follows, once it was looked for
    last = length - 4
    while at <= last:
        tag, octets = _read_tlv_header(frame, at)
        if not tag:
            padding = padding or len(frame.rstrip(b"\0"))
            if at >= padding:
                break
        start = at + 4
        at = start + octets
        if at > length:
            if first is None or frame[first]:
                raise BadPdu(command_id, sequence_number, _RINVOPTPARSTREAM)
            at, first = first + 1, None
            tlvs.clear()
            continue
        tlvs.append((tag, frame[start:at]))
    return tuple(tlvs)


def read_tlvs_leniently(frame: bytes, at: int) -> tuple[tuple[int, bytes], ...]:
    """The TLVs from `at` on, as far as they can be read."""
    end = at
    while len(frame) - end >= 4:
        _, octets = TLV_HEADER.unpack_from(frame, end)
        if end + 4 + octets > len(frame):
            break
        end += 4 + octets
    return read_tlvs(frame[:end], at, 0, 0)


def write_tlvs(tlvs: tuple[tuple[int, bytes], ...]) -> bytes:
    pieces: list[bytes] = []
    try:
        for tag, value in tlvs:
            pieces += _pack_tlv_header(tag, len(value)), value
    except LayoutError:
        raise LocalProtocolError("tlvs: a tag or length above 65535") from None
    return b"".join(pieces)


def _parted(fields: Fields, varying: str) -> tuple[Fields, tuple[str, Kind], Fields, tuple[str, Kind]]:
    """(head, the varying field, tail, the text): a text is the last field of those that have a varying one."""
    at = next(position for position, (name, _) in enumerate(fields) if name == varying)
    return fields[:at], fields[at], fields[at + 1 : -1], fields[-1]


def _names(fields: Fields) -> str:
    return ", ".join(name for name, _ in fields)


def decode_source(command_id: int, fields: Fields, *, varying: str = "") -> str:
    """Source text of `decode(frame, sequence_number, command_status)`."""
    lenient = bool(command_id & RESPONSE_BIT) or not fields
    # What a request carries in command_status means nothing.
    status = "command_status" if command_id & RESPONSE_BIT else "0"
    lines = ["def decode(frame, sequence_number, command_status):", "    length = len(frame)"]
    if lenient:
        empty = f"length == {HEADER_OCTETS}"
        if len(fields) == 1:
            empty += f" or (length == {HEADER_OCTETS + 1} and not frame[{HEADER_OCTETS}])"
        lines += [f"    if {empty}:", f"        return new(sequence_number, {status})"]
        body = _read_leniently(fields)
    else:
        body = _read_strictly(command_id, fields, varying)
    lines += [f"    {line}" for line in body]
    lines.append(f"    return new(sequence_number, {status}, tlvs{''.join(f', {name}' for name, _ in fields)})")
    if varying:
        head, _, tail, _ = _parted(fields, varying)
        lines += _read_group("head", command_id, head)
        lines += _read_group("tail", command_id, tail)
    return "\n".join(lines)


def _read_group(group: str, command_id: int, fields: Fields) -> list[str]:
    """Source lines of `read_head` or `read_tail(frame, at, sequence_number)`: its values and how many octets they are.

    A group ends where its own octets say, so whatever begins with octets that are known means the same: those of as
    many octets as the last one had are looked up first.
    """
    return [
        f"def read_{group}(frame, at, sequence_number):",
        f"    global {group}_octets",
        "    length, start = len(frame), at",
        *(f"    {line}" for line in _read_fields(command_id, fields)),
        f"    if len({group}s) >= {MOST_KNOWN}:",
        f"        {group}s.clear()",
        f"    {group}_octets = at - start",
        f"    {group} = {group}s[frame[start:at]] = {_names(fields)}, {group}_octets",
        f"    return {group}",
    ]


def _refuse(command_id: int, status: int) -> str:
    return f"raise BadPdu({command_id}, sequence_number, {status})"


def _read_strictly(command_id: int, fields: Fields, varying: str) -> list[str]:
    lines = [f"at = {HEADER_OCTETS}"]
    if varying:
        head, number, tail, text = _parted(fields, varying)
        for group, of_group, following in (("head", head, [number]), ("tail", tail, [text])):
            known = f"{group}s.get(frame[at:at + {group}_octets])"
            lines.append(f"{_names(of_group)}, octets = {known} or read_{group}(frame, at, sequence_number)")
            lines.append("at += octets")
            lines += _read_fields(command_id, following)
    else:
        lines += _read_fields(command_id, fields)
    read = [f"    {line}" for line in lines]
    # An index or a string's NUL beyond the end: the body was cut inside a mandatory field.
    cut = ["except (IndexError, ValueError, LayoutError):", f"    {_refuse(command_id, _RINVCMDLEN)} from None"]
    tlvs = f"tlvs = () if at >= length else read_tlvs(frame, at, {command_id}, sequence_number)"
    return ["try:", *read, *cut, tlvs]


def _read_fields(command_id: int, fields: Fields) -> list[str]:
    lines = []
    position = 0
    while position < len(fields):
        name, kind = fields[position]
        position += 1
        match kind:
            case Integer():
                run = [(name, kind)]
                while position < len(fields) and isinstance(following := fields[position][1], Integer):
                    run.append((fields[position][0], following))
                    position += 1
                lines.append(f"{', '.join(n for n, _ in run)}, = octets{len(run)}(frame, at)")
                lines.append(f"at += {len(run)}")
                for limited, integer in run:
                    if integer.status:
                        lines += [f"if {limited} > {integer.largest}:", f"    {_refuse(command_id, integer.status)}"]
            case CString():
                refusal = _refuse(command_id, kind.status)
                absent = "at >= length or not frame[at]" if kind.may_be_absent else "not frame[at]"
                lines.append(f"if {absent}:")
                lines += [f"    {refusal}"] if kind.required else [f"    {name} = ''", "    at += 1"]
                lines += ["else:", "    end = frame.index(0, at)"]
                lines += [f"    if end - at >= {kind.octets}:", f"        {refusal}"]
                lines += [f"    {name} = frame[at:end].decode('latin-1')", "    at = end + 1"]
                if kind.ascii:
                    lines += [f"    if not {name}.isascii():", f"        {refusal}"]
            case ShortMessage():
                refusal = _refuse(command_id, _RINVMSGLEN)
                lines += ["if at >= length:", f"    {refusal}"]
                lines += ["end = at + 1 + frame[at]", "if end > length:", f"    {refusal}"]
                lines += [f"{name} = frame[at + 1:end]", "at = end"]
            case Destinations():
                lines.append(f"{name}, at = read_destinations(frame, str(frame, 'latin-1'), at, sequence_number)")
            case Unsuccesses():
                raise TypeError("unsuccess_sme occurs in responses only")
    return lines


def _read_leniently(fields: Fields) -> list[str]:
    """A body that ends early leaves the rest of the fields empty; a string may lack its NUL or be too long."""
    lines = [f"at = {HEADER_OCTETS}"]
    if fields:
        lines.append("text = frame.decode('latin-1')")
    for name, kind in fields:
        match kind:
            case Integer():
                lines += [f"{name} = frame[at] if at < length else 0", "at += 1"]
            case CString():
                lines += ["end = text.find('\\0', at)", "if end < 0:", "    end = length"]
                lines += [f"{name} = text[at:end]", "at = end + 1"]
            case Unsuccesses():
                lines.append(f"{name}, at = read_unsuccesses(frame, text, at)")
            case _:
                raise TypeError(f"{name} occurs in requests only")
    lines.append("tlvs = () if at >= length else read_tlvs_leniently(frame, at)")
    return lines


def encode_source(command_id: int, fields: Fields, *, bare_on_error: bool = False, varying: str = "") -> str:
    """Source text of `encode(pdu, sequence_number)`, which raises LocalProtocolError where `pdu.encode` does.

    bare_on_error: an error response is its header alone, unless there is something to say. Everything but octet strings
    is put together as one Latin-1 string, which is faster than joining bytes.
    """
    behind_length = f"{command_id}, pdu.command_status, sequence_number"
    lines = ["    tlvs = pdu.tlvs"]
    if varying:
        head, number, tail, text = _parted(fields, varying)
        for group, of_group in (("head", head), ("tail", tail)):
            known = ", ".join(f"pdu.{name}" for name, _ in of_group)
            lines += [f"    {group} = {known}", f"    {group} = {group}s.get({group}) or write_{group}({group})"]
        lines += [f"    {name} = pdu.{name}" for name, _ in (number, text)]
        lines += _check_strings([number])
        text_of, octets = _written([text])
        body = f"{{head}}{_written([number])[0]}{{tail}}{text_of}"
    else:
        lines += [f"    {name} = pdu.{name}" for name, _ in fields]
        body, octets = _written(fields)
        if bare_on_error:
            empty = " or ".join(["tlvs", *(name for name, _ in fields)])
            lines += [
                f"    if pdu.command_status and not ({empty}):",
                f"        return header({HEADER_OCTETS}, {behind_length})",
            ]
        if command_id & RESPONSE_BIT and len(fields) == 1 and isinstance(fields[0][1], CString):
            lines += [
                f"    if not ({fields[0][0]} or tlvs):",
                f"        return header_and_nul({HEADER_OCTETS + 1}, {behind_length})",
            ]
        lines += _check_strings(fields)
    lines.append("    body = " + (f"f'{body}'.encode('latin-1')" if body else "b''") + octets)
    lines += [
        "    if tlvs:",
        "        body += write_tlvs(tlvs)",
        f"    return header({HEADER_OCTETS} + len(body), {behind_length}) + body",
    ]
    lines = [
        "def encode(pdu, sequence_number):",
        "    try:",
        *(f"    {line}" for line in lines),
        "    except (KeyError, UnicodeEncodeError, LayoutError):",
        # The original error holds the value, which may be somebody's text or number.
        "        raise LocalProtocolError(f'{type(pdu).__name__}: a value that does not fit its field') from None",
    ]
    if varying:
        lines += _write_group("head", head)
        lines += _write_group("tail", tail)
    return "\n".join(lines)


def _write_group(group: str, fields: Fields) -> list[str]:
    """Source lines of `write_head` or `write_tail(values)`: their octets as characters."""
    return [
        f"def write_{group}(values):",
        f"    {_names(fields)} = values",
        *_check_strings(fields),
        f"    if len({group}s) >= {MOST_KNOWN}:",
        f"        {group}s.clear()",
        f"    {group} = f'{_written(fields)[0]}'",
        f"    {group}.encode('latin-1')  # raises where it could never be written",
        f"    {group}s[values] = {group}",
        f"    return {group}",
    ]


def _check_strings(fields: Fields) -> list[str]:
    strings = [(name, kind) for name, kind in fields if isinstance(kind, CString)]
    lines = []
    for name, string in strings:
        lines += [f"    if len({name}) >= {string.octets}:", f"        raise LocalProtocolError('{name}: too long')"]
    if strings:
        together = strings[0][0] if len(strings) == 1 else "f'" + "".join(f"{{{name}}}" for name, _ in strings) + "'"
        lines += [
            f"    if not {together}.isprintable() and controls({together}):",
            "        raise LocalProtocolError('a string with control characters')",
        ]
    return lines


def _written(fields: Fields) -> tuple[str, str]:
    """The fields inside an f-string, and what is to be added to its octets."""
    text, octets = "", ""
    for name, kind in fields:
        match kind:
            case Integer():
                text += f"{{chars[{name}]}}"
            case CString():
                text += f"{{{name}}}\\0"
            case ShortMessage():
                text += f"{{chars[len({name})]}}"
                octets = f" + {name}"
            case Destinations():
                text += f"{{write_destinations({name})}}"
            case Unsuccesses():
                text += f"{{write_unsuccesses({name})}}"
    return text, octets
