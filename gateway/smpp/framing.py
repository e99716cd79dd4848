"""Bytes of a connection -> complete PDUs (SMPP 3.4, 3.2.2), with bounds on their length."""

from struct import Struct as Layout

from .constants import HEADER_OCTETS
from .errors import BadLength

_LENGTH = Layout(">I")
_SEQUENCE_NUMBER_AT = 12


class Framer:
    """One per connection. max_pdu: the largest command_length accepted, in octets.

    partial: the beginning of a PDU that waits for its rest.
    """

    def __init__(self, max_pdu: int) -> None:
        self._max_pdu = max_pdu
        self.partial = bytearray()
        # Octets it must hold before it is worth looking at again.
        self._wanted = 4

    @property
    def partial_sequence_number(self) -> int:
        """That of the incomplete PDU, 0 while its header is not complete."""
        return self._sequence_number(self.partial, 0)

    def feed(self, data: bytes) -> list[bytes]:
        """The PDUs that are complete now, in order.

        Raises BadLength when a command_length is below 16 or above max_pdu. A PDU announced too large is reported when
        its header is there, so that it can be answered under its own number; its body is never kept. After BadLength
        the stream has no boundaries any more: feed nothing else.
        """
        if self.partial:
            self.partial += data
            if len(self.partial) < self._wanted:
                return []
            data = bytes(self.partial)
            self.partial.clear()
        frames: list[bytes] = []
        at, available, max_pdu = 0, len(data), self._max_pdu
        self._wanted = 4
        while available - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            end = at + length
            if HEADER_OCTETS <= length <= max_pdu:
                if end > available:
                    self._wanted = length
                    break
                frames.append(data[at:end])
                at = end
            elif length < HEADER_OCTETS:
                raise BadLength(frames, 0)
            elif available - at < HEADER_OCTETS:
                self._wanted = HEADER_OCTETS
                break
            else:
                raise BadLength(frames, self._sequence_number(data, at))
        if at < available:
            self.partial += data[at:]
        return frames

    @staticmethod
    def _sequence_number(data: bytes | bytearray, at: int) -> int:
        if len(data) - at < HEADER_OCTETS:
            return 0
        (sequence_number,) = _LENGTH.unpack_from(data, at + _SEQUENCE_NUMBER_AT)
        return int(sequence_number)
