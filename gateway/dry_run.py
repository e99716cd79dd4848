"""A dry run: everything is accepted, decided, counted and answered as configured, and nothing is sent.

The channels of a dry run take what they are given (smsc_client/dry_run.py, bridge/dry_run.py); here is who reports it
delivered, and what keeps a rehearsal's messages and real ones out of each other's store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.delivery.ports import Results
from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, AttemptResult, Report, Status
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store

AGAIN_S = 1.0  # a report that could not be kept


class OtherStore(Exception):
    """The store holds messages of the other kind; the text says what to do."""


class Rehearsed:
    """Results of channels that only pretend: what they took is reported delivered in the next turn."""

    def __init__(self, results: Results, call_later: Callable[..., Any], clock: Callable[[], float]) -> None:
        self._results, self._call_later, self._clock = results, call_later, clock
        self.inbound, self.looked_up = results.inbound, results.looked_up
        self.noted, self.capacity_changed = results.noted, results.capacity_changed

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None:
        self._results.attempted(channel, results)
        taken = [
            Report(channel, result.remote_id, Status.DELIVERED, dest=message.msisdn, at=self._clock())
            for message, result in results
            if isinstance(result, Accepted)
        ]
        if taken:
            self._call_later(0, self.reported, channel, taken, lambda kept: None)

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        def kept(well: bool) -> None:
            if not well:
                self._call_later(AGAIN_S, self.reported, channel, reports, lambda kept: None)
            done(well)

        self._results.reported(channel, reports, kept)


async def claim(store: Store, dry_run: bool) -> None:
    """The store is for a dry run, or for real work, until nothing unfinished is in it. Raises OtherStore where it holds
    messages of the other kind: those of a rehearsal would be sent in earnest, real ones would be swallowed."""
    mine, other = ("dry_run", "live") if dry_run else ("live", "dry_run")
    found = await _purpose(store)
    if (found or "live") == other:
        open_messages = int(await store.command("ZCARD", keys.DUE, keep=Keep.ALWAYS))
        busy = open_messages or await _somebody_runs(store)
        if busy and (found := await _purpose(store)) != mine:  # else another one came first, for it
            holds = (
                f"{open_messages} unfinished message{'s' if open_messages > 1 else ''}"
                if open_messages
                else "a running node"
            )
            raise OtherStore(
                f"the store has {holds} {'of real work' if dry_run else 'of a dry run'}: give this node a store of its "
                f"own (store.directory or store.url), or run it with dry_run: {str(not dry_run).lower()} until "
                "`pombo status` shows that nothing is left"
            )
    if found != mine:
        await store.command("SET", keys.PURPOSE, mine, keep=Keep.ALWAYS)


async def _somebody_runs(store: Store) -> bool:
    """Has any node a lease that has not run out? Those that left are remembered for a while."""
    seconds, _ = await store.command("TIME", keep=Keep.ALWAYS)
    members = await store.command("HVALS", keys.MEMBERS, keep=Keep.ALWAYS)
    return any(records.decode(member)[1] >= int(seconds) for member in members)


async def _purpose(store: Store) -> str:
    """ "" for a store that nobody has claimed yet."""
    return (await store.command("GET", keys.PURPOSE, keep=Keep.ALWAYS) or b"").decode()
