"""A message in the hands of a channel, and what a channel hands in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from bridge.templates import Form
from gateway.messages.address import same_person
from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Inbound, Lookup, Report

Count = Callable[..., None]  # of gateway.metrics


class Job(msgspec.Struct, eq=False):
    """A message in hand: being placed with a sender, or with one.

    written: its request is under way. asked_in_vain: whether the person has an account is not known, for the sender's
    question had no answer. tried: the senders that could not take it.
    """

    message: Message
    text: str
    person: str
    recipient: str
    form: Form | None = None  # official services only
    written: bool = False
    asked_in_vain: bool = False
    over: bool = False
    tried: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: Message, text: str) -> Job:
        return cls(message, text, same_person(message.msisdn), message.msisdn)

    def alone(self, channel: str) -> bool:
        """Is there no other channel after this one?"""
        return self.message.plan[-1:] == (channel,)


class Results(Protocol):
    """gateway.delivery.ports.Results, as much of it as a WhatsApp channel uses."""

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None: ...
    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None: ...
    def looked_up(self, message: Message, channel: str, lookup: Lookup) -> None: ...
    def noted(self, message: Message, channel: str, event: str, detail: str) -> None: ...
    def capacity_changed(self, channel: str) -> None: ...
