"""Makes the decode and encode function of a PDU class from its annotated fields.

The functions are written as source text and compiled once, at import: straight-line code without a loop over fields, in
which neighbouring integers share one struct call. `decode_source` and `encode_source` return that text, to be read.

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


def make_decoder(cls: type, command_id: int, fields: Fields) -> Decoder:
    scope: dict[str, Any] = {
        "new": cls,
        "BadPdu": BadPdu,
        "LayoutError": LayoutError,
        "read_tlvs": read_tlvs,
        "read_tlvs_leniently": read_tlvs_leniently,
        "read_destinations": lists.read_destinations,
        "read_unsuccesses": lists.read_unsuccesses,
    }
    for count in range(1, 9):
        scope[f"octets{count}"] = Layout(f"{count}B").unpack_from
    exec(decode_source(command_id, fields), scope)
    decoder: Decoder = scope["decode"]
    return decoder


def make_encoder(command_id: int, fields: Fields, *, bare_on_error: bool = False) -> Encoder:
    scope: dict[str, Any] = {
        "chars": {number: chr(number) for number in range(256)},
        "header": HEADER.pack,
        "controls": _CONTROLS.search,
        "write_tlvs": write_tlvs,
        "write_destinations": lists.write_destinations,
        "write_unsuccesses": lists.write_unsuccesses,
        "LocalProtocolError": LocalProtocolError,
    }
    exec(encode_source(command_id, fields, bare_on_error=bare_on_error), scope)
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
    while length - at >= 4:
        tag, octets = TLV_HEADER.unpack_from(frame, at)
        if not tag:
            padding = padding or len(frame.rstrip(b"\0"))
            if at >= padding:
                break
        at += 4
        value = frame[at : at + octets]
        if len(value) < octets:
            if first is None or frame[first]:
                raise BadPdu(command_id, sequence_number, _RINVOPTPARSTREAM)
            at, first = first + 1, None
            tlvs.clear()
            continue
        tlvs.append((tag, value))
        at += octets
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
    try:
        return b"".join([TLV_HEADER.pack(tag, len(value)) + value for tag, value in tlvs])
    except LayoutError:
        raise LocalProtocolError("tlvs: a tag or length above 65535") from None


def decode_source(command_id: int, fields: Fields) -> str:
    """Source text of `decode(frame, sequence_number, command_status)`."""
    lenient = bool(command_id & RESPONSE_BIT) or not fields
    body = _read_leniently(fields) if lenient else _read_strictly(command_id, fields)
    names = "".join(f", {name}" for name, _ in fields)
    # What a request carries in command_status means nothing.
    status = "command_status" if command_id & RESPONSE_BIT else "0"
    lines = [
        "def decode(frame, sequence_number, command_status):",
        "    length = len(frame)",
    ]
    if lenient:
        lines += [
            f"    if length == {HEADER_OCTETS}:",
            f"        return new(sequence_number, {status})",
        ]
    if fields:
        lines.append("    text = str(frame, 'latin-1')")
    lines += [f"    {line}" for line in body]
    lines.append(f"    return new(sequence_number, {status}, tlvs{names})")
    return "\n".join(lines)


def _read_strictly(command_id: int, fields: Fields) -> list[str]:
    def refuse(status: int) -> str:
        return f"raise BadPdu({command_id}, sequence_number, {status})"

    lines = [f"at = {HEADER_OCTETS}"]
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
                        lines += [f"if {limited} > {integer.largest}:", f"    {refuse(integer.status)}"]
            case CString():
                refusal = refuse(kind.status)
                absent = "at >= length or not frame[at]" if kind.may_be_absent else "not frame[at]"
                lines.append(f"if {absent}:")
                lines += [f"    {refusal}"] if kind.required else [f"    {name} = ''", "    at += 1"]
                lines += ["else:", "    end = index('\\0', at)"]
                lines += [f"    if end - at >= {kind.octets}:", f"        {refusal}"]
                lines += [f"    {name} = text[at:end]", "    at = end + 1"]
                if kind.ascii:
                    lines += [f"    if not {name}.isascii():", f"        {refusal}"]
            case ShortMessage():
                lines += ["if at >= length:", f"    {refuse(_RINVMSGLEN)}"]
                lines += ["end = at + 1 + frame[at]", "if end > length:", f"    {refuse(_RINVMSGLEN)}"]
                lines += [f"{name} = frame[at + 1:end]", "at = end"]
            case Destinations():
                lines.append(f"{name}, at = read_destinations(frame, text, at, sequence_number)")
            case Unsuccesses():
                raise TypeError("unsuccess_sme occurs in responses only")
    read = [f"    {line}" for line in lines]
    # An index or a string's NUL beyond the end: the body was cut inside a mandatory field.
    cut = ["except (IndexError, ValueError, LayoutError):", f"    {refuse(_RINVCMDLEN)} from None"]
    tlvs = f"tlvs = () if at >= length else read_tlvs(frame, at, {command_id}, sequence_number)"
    return ["index = text.index", "try:", *read, *cut, tlvs]


def _read_leniently(fields: Fields) -> list[str]:
    """A body that ends early leaves the rest of the fields empty; a string may lack its NUL or be too long."""
    lines = [f"at = {HEADER_OCTETS}"]
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


def encode_source(command_id: int, fields: Fields, *, bare_on_error: bool = False) -> str:
    """Source text of `encode(pdu, sequence_number)`.

    bare_on_error: an error response is its header alone, unless there is something to say. Everything but octet strings
    is put together as one Latin-1 string, which is faster than joining bytes.
    """
    strings = [(name, kind) for name, kind in fields if isinstance(kind, CString)]
    lines = ["def encode(pdu, sequence_number):"]
    lines += [f"    {name} = pdu.{name}" for name, _ in fields]
    lines.append("    tlvs = pdu.tlvs")
    if bare_on_error:
        empty = " or ".join(["tlvs", *(name for name, _ in fields)])
        lines += [
            f"    if pdu.command_status and not ({empty}):",
            f"        return header({HEADER_OCTETS}, {command_id}, pdu.command_status, sequence_number)",
        ]
    for name, string in strings:
        lines += [f"    if len({name}) >= {string.octets}:", f"        raise LocalProtocolError('{name}: too long')"]
    if strings:
        together = "".join(f"{{{name}}}" for name, _ in strings)
        lines += [
            f"    if not f'{together}'.isprintable() and controls(f'{together}'):",
            "        raise LocalProtocolError('a string with control characters')",
        ]
    text, octets = "", ""
    for name, kind in fields:
        match kind:
            case Integer():
                text += f"{{chars[{name}]}}"
            case CString():
                text += f"{{{name}}}\\0"
            case ShortMessage():
                text += f"{{chars[len({name})]}}"
                octets = name
            case Destinations():
                text += f"{{write_destinations({name})}}"
            case Unsuccesses():
                text += f"{{write_unsuccesses({name})}}"
    body = f"f'{text}'.encode('latin-1')" if text else "b''"
    lines.append(f"    body = {body}" + (f" + {octets}" if octets else ""))
    lines += [
        "    if tlvs:",
        "        body += write_tlvs(tlvs)",
        f"    return header({HEADER_OCTETS} + len(body), {command_id}, pdu.command_status, sequence_number) + body",
    ]
    return "\n".join(lines)
