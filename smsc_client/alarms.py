"""Answers of an operator that somebody has to look at, told once each."""

from __future__ import annotations

from collections.abc import Container

from twisted.logger import Logger

from gateway.smpp.status import is_known, needs_attention

MOST = 100  # codes told: an operator may make them up


class Alarms:
    """An error in the log for every command_status that speaks of our settings, or that SMPP does not define."""

    def __init__(self, channel: str, log: Logger) -> None:
        self._channel, self._log = channel, log
        self._told: set[int] = set()

    def heed(self, status: int, looked_at: Container[int]) -> None:
        """looked_at: codes whose meaning somebody has written down."""
        if status in self._told or status in looked_at or len(self._told) >= MOST:
            return
        if needs_attention(status):
            what = "{channel}: submit_sm refused with command_status 0x{status:02X}; its settings need attention"
        elif not is_known(status):
            what = "{channel}: command_status 0x{status:02X} is none of SMPP; ask the operator, then say so in `status`"
        else:
            return
        self._told.add(status)
        self._log.error(what, channel=self._channel, status=status)
