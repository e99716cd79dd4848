"""Recorded octets as a capture file, and what tshark reads in it.

The file is written here, so no network device has to be listened on: one IPv4/TCP packet per read, with the listening
side on SMPP's port and a port of its own for every connection.
Sources: RFC 791, RFC 9293; the classic pcap format, link type 101 (raw IP).
"""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tests.interop.recorder import Chunk

SMPP_PORT = 2775
FIRST_PORT = 20_000
RAW_IP = 101
MAX_SEGMENT = 1400
CLIENT, SERVER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
PSH_ACK = 0x18
ERROR = 0x800000  # severity of Wireshark's expert items
TSHARK_S = 60


class Reading(msgspec.Struct, frozen=True):
    """What tshark made of a capture: commands by command_id, and its complaints."""

    commands: Counter[int]
    complaints: list[str]


def write(path: Path, chunks: Iterable[Chunk]) -> None:
    """A capture file of these chunks."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, RAW_IP))
        for at, packet in _packets(chunks):
            file.write(struct.pack("<IIII", int(at), int(at % 1 * 1_000_000), len(packet), len(packet)) + packet)


def _packets(chunks: Iterable[Chunk]) -> Iterator[tuple[float, bytes]]:
    following: dict[tuple[int, bool], int] = {}  # the next sequence number of each side of each connection
    for chunk in chunks:
        here, there = (chunk.connection, chunk.inward), (chunk.connection, not chunk.inward)
        for start in range(0, len(chunk.octets), MAX_SEGMENT):
            octets = chunk.octets[start : start + MAX_SEGMENT]
            yield chunk.at, _packet(chunk, octets, following.get(here, 1), following.get(there, 1))
            following[here] = following.get(here, 1) + len(octets)


def _packet(chunk: Chunk, octets: bytes, sequence: int, acknowledged: int) -> bytes:
    near, far = (CLIENT, FIRST_PORT + chunk.connection), (SERVER, SMPP_PORT)
    source, dest = (near, far) if chunk.inward else (far, near)
    tcp = struct.pack("!HHIIBBHHH", source[1], dest[1], sequence, acknowledged, 5 << 4, PSH_ACK, 0xFFFF, 0, 0)
    length = 20 + len(tcp) + len(octets)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0x4000, 64, 6, 0, source[0], dest[0])
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + tcp + octets


def _checksum(head: bytes) -> int:
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pdus(chunks: Iterable[Chunk]) -> list[tuple[bool, bytes]]:
    """The PDUs in the chunks, cut by their lengths alone, with the `inward` of each."""
    streams: dict[tuple[int, bool], bytearray] = {}
    for chunk in chunks:
        streams.setdefault((chunk.connection, chunk.inward), bytearray()).extend(chunk.octets)
    found = []
    for (_, inward), stream in streams.items():
        at = 0
        while at + 16 <= len(stream):
            length = int.from_bytes(stream[at : at + 4], "big")
            found.append((inward, bytes(stream[at : at + length])))
            at += length
    return found


def headers(chunks: Iterable[Chunk]) -> list[tuple[bool, int, int]]:
    """(`inward`, command_id, command_status) of every PDU."""
    return [(inward, *struct.unpack_from("!II", pdu, 4)) for inward, pdu in pdus(chunks)]


def assert_well_formed(
    directory: Path, chunks: list[Chunk], tshark: str, unknown: frozenset[int] = frozenset()
) -> None:
    """tshark finds every PDU, and nothing to complain of. unknown: commands that it knows no more than we do."""
    path = directory / "interop.pcap"
    write(path, chunks)
    reading = read(path, tshark)
    assert reading.complaints == []
    assert reading.commands == Counter(command for _, command, _ in headers(chunks) if command not in unknown)


def read(path: Path, tshark: str) -> Reading:
    """Let tshark decode a capture. A complaint is a malformed packet or an expert item of severity error."""
    found: Counter[int] = Counter()
    complaints = []
    names = ("frame.number", "smpp.command_id", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message")
    for frame, ids, malformed, severities, messages in fields(path, tshark, *names):
        found.update(int(one, 0) for one in ids.split(",") if one)
        if malformed or any(int(one, 0) >= ERROR for one in severities.split(",") if one):
            complaints.append(f"frame {frame}: {malformed} {messages}")
    return Reading(found, complaints)


def fields(path: Path, tshark: str, *names: str) -> list[list[str]]:
    """These fields of every packet as tshark shows them; several values of one are separated by commas."""
    command = [tshark, "-n", "-r", str(path), "-d", f"tcp.port=={SMPP_PORT},smpp", "-T", "fields", "-E", "occurrence=a"]
    command += [word for name in names for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TSHARK_S, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]
