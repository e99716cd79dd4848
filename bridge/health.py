"""Is a WhatsApp sender worth using now? Pure: told what happens and the time, it says how many messages may go.

    state        leaves it by
    OPEN         silence -> RESTING(silent) · logged out -> RESTING(logged_out) · unreachable -> RESTING(unreachable)
    RESTING      the first pause is over and the state probe is good -> OPEN, after a silence or a refusal -> TRIAL
                 (after a silence: late answers that make up for it -> OPEN)
    TRIAL        one message: answered -> OPEN · silent -> RESTING(silent) · logged out, unreachable -> RESTING

An *answer* is any status the provider reports of a message it took; `failed` is one too: the sender works.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

ENOUGH = 20  # sends after which a verdict need not wait for the whole window
FEW = 3  # a window with fewer sends is judged together with those before it, so that one lost status is no verdict
REMEMBERED = 2_000  # sends, also when the window holds more
ERRORS = 5  # 5xx in a row after which a provider counts as unreachable
FAIR_S = 5.0  # a send younger than this (or a quarter of the window) is not silent yet
BACKOFF_S = {"unreachable": (1.0, 2.0, 3.0, 5.0)}
OTHERWISE_S = (2.0, 5.0, 10.0)
# Seconds: not what an operator calls quarantine.
BRIEF = frozenset({"unreachable", "overloaded", "maintenance", "throttled"})
# A good state proves nothing: a message must.
BY_TRIAL = frozenset({"silent", "blocked", "account_blocked", "overloaded", "maintenance", "throttled"})


class State(Enum):
    OPEN = "open"
    RESTING = "resting"
    TRIAL = "trial"


# Members by names of their own: before 3.12 an interpreter takes thirty times as long to find one in its class.
OPEN, RESTING, TRIAL = State


class _Send(msgspec.Struct):
    sent_at: float
    answered_at: float | None = None


class Health:
    """One sender. Times in seconds of any clock that never goes back; keys are provider_message_ids.

    A send without an id (its answer was lost) is made good by any answer whose id is not known here.
    """

    def __init__(self, *, min_acks: float, window: float, quarantine: float, hears_all: bool = True) -> None:
        """hears_all: False where answers may come to other processes, too. Then it is put aside for its silence only
        by a `tick` before which somebody has looked for answers to the `doubted`."""
        self._min_acks, self._window, self._quarantine = min_acks, window, quarantine
        self._hears_all = self._sure = hears_all
        self.doubted: Sequence[str] = ()  # sends that would be silent, if nobody else has heard of them
        self._fair = min(FAIR_S, window / 4)
        self._typical = 0.0  # seconds from a send to its first answer
        self._sends: OrderedDict[str, _Send] = OrderedDict()
        self._strangers: OrderedDict[str, float] = (
            OrderedDict()
        )  # answers that came before their send, or never had one
        self._answers = 0  # among _sends
        self._nameless = 0
        self._errors = 0
        self._since = math.inf  # the window that is judged as a whole began then
        self.state = OPEN
        self.cause = ""  # of the rest: silent | logged_out | unreachable, or what the service refused it for
        self._refusals = 0  # in a row
        self.probe_at = math.inf  # when the provider is to be asked for its state
        self._probes = 0
        self._trial_key: str | None = None
        self._trial_at = math.inf

    # -------------------------------------------------------------------------------------------------------- verdicts

    @property
    def up(self) -> bool:
        """May messages be meant for this sender now? False while one is out on trial, too."""
        return self.state is OPEN or (self.state is TRIAL and self._trial_at == math.inf)

    @property
    def quarantined(self) -> bool:
        return not self.up and self.cause not in BRIEF

    @property
    def reason(self) -> str:
        """Why a message is turned away now."""
        names = {"silent": "quarantine", "unreachable": "provider_down"}
        return names.get(self.cause, self.cause) or "quarantine"

    def room(self, under_way: int, now: float) -> float:
        """How many more sends may be written. A sender that never answered anything gets ENOUGH, then must answer."""
        if self.state is TRIAL:
            return 1 if self.up else 0
        if self.state is RESTING:
            return 0
        if self._min_acks <= 0 or self._answers or self._strangers:
            return math.inf
        return max(0, ENOUGH - len(self._sends) - under_way)

    def tick(self, now: float, asked: bool = False) -> None:
        """Let time pass: judge. To be called about four times per window, and at least every second. asked: what others
        have heard of the doubted was told."""
        self._sure, self.doubted = asked or self._hears_all, ()
        if self.state is TRIAL and now - self._trial_at >= self._patience:
            self._found_silent(now)
        elif self.state is OPEN and self._min_acks > 0:
            self._judge(now)

    # --------------------------------------------------------------------------------------------------- what happens

    def trial_taken(self, now: float) -> None:
        """The one message of the trial is in hand."""
        if self.state is TRIAL:
            self._trial_at = now

    def trial_missed(self) -> None:
        """It was never written, or its fate proves nothing (no account): another may go."""
        if self.state is TRIAL and self._trial_key is None:
            self._trial_at = math.inf

    def sent(self, key: str, now: float) -> None:
        """The provider took a message; key "" when its answer was lost."""
        self._errors = self._refusals = 0
        if not key:
            self._nameless += 1
            key = f"?{self._nameless}"
        entry = self._sends[key] = _Send(now)
        if self._since == math.inf:
            self._since = now
        if len(self._sends) > REMEMBERED:
            self._forget(next(iter(self._sends)))
        if self.state is TRIAL:
            self._trial_key, self._trial_at = key, now
        if self._strangers.pop(key, None) is not None:
            self._answer(key, entry, now)

    def knows(self, key: str) -> bool:
        """Is this one of its sends?"""
        return key in self._sends

    def answered(self, key: str, now: float) -> None:
        """A status of a message arrived, once or many times, perhaps before its send was answered."""
        entry = self._sends.get(key)
        if entry is not None and entry.answered_at is None:
            self._answer(key, entry, now)
        elif entry is None:
            self._strangers[key] = now
            if len(self._strangers) > REMEMBERED:
                self._strangers.popitem(last=False)
            if self._trial_key is not None and self._trial_key.startswith("?"):
                self._open()
            else:
                self._reconsider()

    def heard_elsewhere(self, keys: Iterable[str], now: float) -> None:
        """Others were told of these: when, nobody knows, so it says nothing of how long answers take."""
        for key in keys:
            entry = self._sends.get(key)
            if entry is not None and entry.answered_at is None:
                entry.answered_at = now
                self._answers += 1
                if self.state is TRIAL and key == self._trial_key:
                    self._open()

    def logged_out(self, now: float) -> None:
        """The session is gone (the provider says so, or the key is refused): `quarantine` is the first pause."""
        if self.state is not RESTING or self.cause == "unreachable":
            self._rest("logged_out", now, pause=self._quarantine)

    def refused(self, cause: str, now: float, *, pause: float, longest: float) -> None:
        """The service takes nothing from this sender for now; each refusal in a row doubles the pause."""
        if self.state is not RESTING or self.cause == "unreachable":
            self._rest(cause, now, pause=min(pause * 2.0 ** min(self._refusals, 16), longest))
            self._refusals += 1

    def connected(self, now: float) -> None:
        """The provider says that the session is back: ask at once, where the first pause is over."""
        if self.state is RESTING and self._probes:
            self.probe_at = now

    def unreachable(self, now: float) -> None:
        """The provider refuses connections: tried again within seconds, and no pause."""
        if self.state is TRIAL:
            self._rest("silent", now, pause=OTHERWISE_S[0])
            self._probes = 1
        elif self.state is OPEN:
            self._rest("unreachable", now, pause=BACKOFF_S["unreachable"][0])

    def erred(self, now: float) -> None:
        """A send was answered with a 5xx. One proves nothing."""
        self._errors += 1
        if self._errors >= ERRORS or self.state is TRIAL:
            self._errors = 0
            self.unreachable(now)

    def probed(self, state: bool | None, now: float, *, reached: bool = True) -> None:
        """What the provider said of its state: connected, not, or nothing to be understood.

        Unasked-for, in OPEN: not connected is a rest that ends with the first good probe.
        """
        if self.state is RESTING:
            if now < self.probe_at:  # asked before the rest began
                return
            if state or (state is None and reached and self.cause == "unreachable"):
                if self.cause in BY_TRIAL:
                    self.state, self.probe_at = TRIAL, math.inf
                    self._trial_key, self._trial_at = None, math.inf
                else:
                    self._open()
                return
            if reached and state is False and self.cause == "unreachable":
                self.cause = "logged_out"
            waits = BACKOFF_S.get(self.cause, OTHERWISE_S)
            self.probe_at = now + waits[min(self._probes, len(waits) - 1)]
            self._probes += 1
        elif self.state is OPEN and (state is False or not reached):
            cause = "logged_out" if reached else "unreachable"
            self._rest(cause, now, pause=BACKOFF_S.get(cause, OTHERWISE_S)[0])
            self._probes = 1

    # -------------------------------------------------------------------------------------------------------- judging

    @property
    def _patience(self) -> float:
        """How old a send without any status must be before it counts as silent."""
        return min(self._window, max(self._fair, 4.0 * self._typical))

    def _judge(self, now: float) -> None:
        self._prune(now)
        begins = now - self._window
        in_window = sum(send.sent_at > begins for send in self._sends.values())
        due = [send for send in self._sends.values() if not self._young(send, now)]
        if in_window >= ENOUGH:
            sample = [send for send in due if send.sent_at > begins]
            if len(sample) >= ENOUGH and self._silent(sample):
                return self._found_silent(now)
        if now - self._since >= self._window:
            since = self._since
            sample = [send for send in due if send.sent_at >= since]
            if len(sample) < FEW:
                sample = due[-FEW:]
            if sample and self._silent(sample):
                return self._found_silent(now)
            self._since = min(
                (send.sent_at for send in self._sends.values() if self._young(send, now)), default=math.inf
            )
        return None

    def _found_silent(self, now: float) -> None:
        if not self._sure:
            silent = ((key, send) for key, send in self._sends.items() if send.answered_at is None)
            self.doubted = [key for key, send in silent if not key.startswith("?") and not self._young(send, now)]
        if not self.doubted:
            self._rest("silent", now, pause=self._quarantine)

    def _young(self, send: _Send, now: float) -> bool:
        """Not answered, and not due yet."""
        return send.answered_at is None and now - send.sent_at < self._patience

    def _silent(self, sample: list[_Send]) -> bool:
        """Were too few answered? Answers to nobody stand for sends whose id was lost."""
        answers = sum(send.answered_at is not None for send in sample)
        lost = sum(key.startswith("?") and send.answered_at is None for key, send in self._sends.items())
        return answers + min(lost, len(self._strangers)) < self._min_acks * len(sample)

    def _answer(self, key: str, entry: _Send, now: float) -> None:
        entry.answered_at = now
        self._answers += 1
        took = now - entry.sent_at
        self._typical += (took - self._typical) * (0.1 if self._typical else 1.0)
        if self.state is TRIAL and key == self._trial_key:
            self._open()
        else:
            self._reconsider()

    def _reconsider(self) -> None:
        """Late answers: the sender was slow, not silent."""
        if self.state is RESTING and self.cause == "silent" and not self._silent(list(self._sends.values())):
            self._open()

    def _prune(self, now: float) -> None:
        """Forget what is older than the window and judged, but for the last FEW."""
        oldest = min(now - self._window, self._since)
        while len(self._sends) > FEW:
            key, send = next(iter(self._sends.items()))
            if send.sent_at >= oldest:
                break
            self._forget(key)
        while self._strangers:
            key, at = next(iter(self._strangers.items()))
            if now - at < self._window:
                break
            del self._strangers[key]

    def _forget(self, key: str) -> None:
        if self._sends.pop(key).answered_at is not None:
            self._answers -= 1

    def _open(self) -> None:
        self.state, self.cause, self.probe_at, self._probes = OPEN, "", math.inf, 0
        self._trial_key, self._trial_at = None, math.inf
        self._errors, self._since = 0, math.inf
        answered = [key for key, send in self._sends.items() if send.answered_at is not None]
        for key in list(self._sends):
            if key not in answered:
                self._forget(key)

    def _rest(self, cause: str, now: float, *, pause: float) -> None:
        self.state, self.cause, self.probe_at, self._probes = RESTING, cause, now + pause, 0
        self._trial_key, self._trial_at = None, math.inf
        self._since = math.inf
