"""Who may bind, from where, and how fast each account may submit.

One instance for the life of the process: a new configuration is loaded into it and leaves the state of accounts that
did not change alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from twisted.logger import Logger

from config.schema import AccountSettings, SmppServerSettings
from config.secrets import verify_password
from gateway.delivery.pacing import Bucket
from gateway.messages.message import Message, Part
from gateway.metrics import Metrics
from gateway.server.answers import Refusal
from gateway.server.bans import Bans
from gateway.server.dialect import Dialect, dialect_of, status_of

LEAST_BUCKET = 10  # segments: a long message fits whole into the slowest account's bucket
MAX_SETS = 10_000  # concatenated messages whose remaining parts are paid for, per account

log = Logger("accounts")

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]
"""Run a slow check outside the reactor's thread."""


class Allowance(Protocol):
    """How fast an account may submit: delivery.pacing.Bucket, which is this process's own, or one that several share.
    debt: segments of messages that were longer than the bucket."""

    debt: float

    @property
    def size(self) -> float: ...
    def take(self, count: int, now: float) -> bool: ...
    def seconds_until(self, count: int, now: float) -> float: ...


class Limits(Protocol):
    """What an account may, all processes that serve it together."""

    def bucket(self, account: str, rate: float, size: float, now: float) -> Allowance: ...

    def may_bind(self, account: str, most: int, here: int) -> bool:
        """May one more session bind? here: how many are bound to this process."""


class OwnLimits:
    """Where this process is the only one."""

    def bucket(self, account: str, rate: float, size: float, now: float) -> Allowance:
        return Bucket(rate, size, now)

    def may_bind(self, account: str, most: int, here: int) -> bool:
        return here < most


class Accounts:
    """Accounts by system_id."""

    def __init__(
        self,
        settings: SmppServerSettings,
        seconds: Callable[[], float],
        metrics: Metrics,
        binds: Callable[[str], int],
        in_thread: InThread,
        limits: Limits | None = None,
    ) -> None:
        """seconds: the clock. binds: how many sessions an account has now, here. limits: without, this process's."""
        self._seconds, self._metrics, self._binds, self._in_thread = seconds, metrics, binds, in_thread
        now = seconds()
        self._parts_timeout = settings.parts_timeout
        self._limits = limits or OwnLimits()
        self._accounts = {account.system_id: _Account(account, now, self._limits) for account in settings.accounts}
        self._uniform = settings.uniform_bind_error
        self._bans = Bans()

    def reload(self, settings: SmppServerSettings) -> set[str]:
        """Take a new configuration. Returns the accounts whose binds must end: removed, or with another password."""
        now = self._seconds()
        before, self._accounts = self._accounts, {}
        self._parts_timeout, self._uniform = settings.parts_timeout, settings.uniform_bind_error
        over = set(before)
        for new in settings.accounts:
            old = before.get(new.system_id)
            if old is None:
                self._accounts[new.system_id] = _Account(new, now, self._limits)
                continue
            if _credentials(old.settings) == _credentials(new):
                over.discard(new.system_id)
            old.change(new, now)
            self._accounts[new.system_id] = old
        return over

    def get(self, system_id: str) -> AccountSettings | None:
        account = self._accounts.get(system_id)
        return account.settings if account else None

    def dialect(self, system_id: str) -> Dialect | None:
        """How the account's client speaks, where that is not the usual way."""
        account = self._accounts.get(system_id)
        return account.dialect if account else None

    async def why_not(self, system_id: str, password: str, peer: str) -> Refusal | None:
        """Why this peer (an IP address, "" for a local socket) may not bind; None when it may.

        An unknown name takes less time than a wrong password: there is nothing to hide, for the statuses differ anyway,
        unless the server is told to hide it.
        """
        refusal = await self._refusal(system_id, password, peer)
        if refusal is not None:
            self._metrics.auth_failure(refusal.name.lower())
        return refusal

    def status_of(self, refusal: Refusal, system_id: str) -> int:
        """The command_status of the bind response."""
        if refusal is Refusal.UNKNOWN_SYSTEM_ID and self._uniform:
            refusal = Refusal.WRONG_PASSWORD
        return status_of(refusal, self.dialect(system_id))

    async def _refusal(self, system_id: str, password: str, peer: str) -> Refusal | None:
        if self._bans.refuses(peer, self._seconds(), system_id):
            return Refusal.BANNED
        account = self._accounts.get(system_id)
        if account is None:
            if self._uniform:
                await self._pretend(password)
            self._bans.failed(peer, self._seconds())
            return Refusal.UNKNOWN_SYSTEM_ID
        if not await self._knows(account, password):
            if self._bans.failed(peer, self._seconds(), system_id):
                log.warn("the password of {account} is being guessed at; every wrong one bans its address for a while",
                         account=system_id)  # fmt: skip
            return Refusal.WRONG_PASSWORD
        self._bans.proved(peer, system_id)
        if not _inside(peer, account.settings.allow_from):
            return Refusal.ADDRESS_NOT_ALLOWED
        if not self._limits.may_bind(system_id, account.settings.max_binds, self._binds(system_id)):
            return Refusal.TOO_MANY_BINDS
        return None

    async def _pretend(self, password: str) -> None:
        """As much work as for a name that is known: that of a hash, if any account has one."""
        all_settings = [account.settings for account in self._accounts.values()]
        settings = next((one for one in all_settings if one.password_hash is not None), None)
        if settings is not None:
            await self._in_thread(lambda: verify_password(password, settings))

    async def _knows(self, account: _Account, password: str) -> bool:
        """Compare in constant time. A hash is slow on purpose: who has proved the password once is remembered under a
        key that lives only in this process."""
        settings = account.settings
        if settings.password is not None:
            return verify_password(password, settings)
        proof = hashlib.blake2b(password.encode(), key=account.key).digest()
        if account.proven is not None and hmac.compare_digest(proof, account.proven):
            return True
        known = await self._in_thread(lambda: verify_password(password, settings))
        if known and _credentials(account.settings) == _credentials(settings):
            account.proven = proof
        return known

    def wait_for(self, message: Message, now: float) -> float:
        """Count a submit against its account's rate: 0.0, admitted; else in how many seconds to ask again.

        A concatenated message is admitted whole: its first part to arrive pays for all, the others pass.
        """
        account = self._accounts.get(message.account)
        if account is None:
            return 0.0
        if message.part is None:
            return account.take(message.segments, now)
        return account.wait_for_all((message,), now, self._parts_timeout)

    def wait_for_all(self, messages: Sequence[Message], now: float) -> float:
        """The same for messages of one account that are admitted together or not at all."""
        account = self._accounts.get(messages[0].account) if messages else None
        return account.wait_for_all(messages, now, self._parts_timeout) if account else 0.0


class _Account:
    """One account's settings, its bucket and what it has paid for."""

    def __init__(self, settings: AccountSettings, now: float, limits: Limits) -> None:
        self.settings, self.dialect, self._limits = settings, dialect_of(settings), limits
        self.key = secrets.token_bytes(32)
        self.proven: bytes | None = None
        self._bucket = self._new_bucket(now)
        self._paid: dict[str, tuple[int, float]] = {}  # Part.key -> numbers still to come as bits, until when

    def change(self, settings: AccountSettings, now: float) -> None:
        if _credentials(settings) != _credentials(self.settings):
            self.proven = None
        another = settings.throughput != self.settings.throughput
        self.settings, self.dialect = settings, dialect_of(settings)
        if another:
            debt, self._bucket = self._bucket.debt, self._new_bucket(now)
            self._bucket.debt = debt

    def _new_bucket(self, now: float) -> Allowance:
        rate = self.settings.throughput
        return self._limits.bucket(self.settings.system_id, rate, max(rate, LEAST_BUCKET), now)

    def wait_for_all(self, messages: Sequence[Message], now: float, parts_timeout: float) -> float:
        owed = 0
        for message in messages:
            if message.part is None:
                owed += message.segments
            elif not self._is_paid(message.part, now):
                owed += message.segments + message.part.total - 1
        wait = self.take(owed, now) if owed else 0.0
        if wait == 0.0:
            for message in messages:
                if message.part is not None:
                    self._admit(message.part, now, parts_timeout)
        return wait

    def _is_paid(self, part: Part, now: float) -> bool:
        paid = self._paid.get(part.key)
        return paid is not None and paid[1] > now and bool(paid[0] >> part.number & 1)

    def _admit(self, part: Part, now: float, parts_timeout: float) -> None:
        if self._is_paid(part, now):
            left, until = self._paid[part.key]
            left &= ~(1 << part.number)
            if left:
                self._paid[part.key] = left, until
            else:
                del self._paid[part.key]
            return
        self._paid.pop(part.key, None)
        if len(self._paid) >= MAX_SETS:
            del self._paid[next(iter(self._paid))]
        self._paid[part.key] = ((2 << part.total) - 2 & ~(1 << part.number), now + parts_timeout)

    def take(self, segments: int, now: float) -> float:
        """Count segments against the rate: 0.0, admitted; else in how many seconds to ask again."""
        bucket = self._bucket
        if not bucket.debt and segments <= LEAST_BUCKET and bucket.take(segments, now):
            return 0.0
        owed = segments + bucket.debt
        due = int(min(owed, bucket.size))
        if bucket.take(due, now):
            bucket.debt = owed - due
            return 0.0
        return max(bucket.seconds_until(due, now), 0.001)


def _credentials(settings: AccountSettings) -> tuple[object, object]:
    return settings.password, settings.password_hash


def _inside(peer: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    if not networks:
        return True
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
