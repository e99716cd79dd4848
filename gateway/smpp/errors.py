"""What can go wrong on a link: by our own doing, or by the peer's."""

from .constants import CommandStatus


class LocalProtocolError(Exception):
    """We were asked to send what SMPP does not allow here: a bug on our side. Names fields, never their contents."""


class RemoteProtocolError(Exception):
    """The peer sent something SMPP does not allow."""


class BadPdu(RemoteProtocolError):
    """One PDU cannot be read; its boundaries are sound, so only this PDU is lost (SMPP 3.4, 3.2.3).

    status: the command_status its own response must carry.
    """

    def __init__(self, command_id: int, sequence_number: int, status: int) -> None:
        super().__init__(f"command_id 0x{command_id:08x}: status 0x{status:x}")
        self.command_id = command_id
        self.sequence_number = sequence_number
        self.status = status


class UnknownCommand(BadPdu):
    """A command_id that SMPP 3.4 does not define; a request is answered with generic_nack."""

    def __init__(self, command_id: int, sequence_number: int) -> None:
        super().__init__(command_id, sequence_number, int(CommandStatus.ESME_RINVCMDID))


class BadLength(RemoteProtocolError):
    """An impossible command_length: the boundaries of the stream are lost.

    frames: the complete PDUs that came before it. sequence_number: that of the bad header, 0 when it was not readable.
    """

    def __init__(self, frames: list[bytes], sequence_number: int) -> None:
        super().__init__("impossible command_length")
        self.frames = frames
        self.sequence_number = sequence_number
