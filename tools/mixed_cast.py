"""Who is written to in the long mixed run: so many per hundred meet each fault, on WhatsApp and with the operator."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

PATIENCE_S = 15.0  # fallback_after of the run's route


class Fate(msgspec.Struct, frozen=True):
    """What happens to one message. account: has WhatsApp. operator: the script of an SMS, where one goes."""

    fault: str
    account: bool = True
    operator: str = ""


class Share(msgspec.Struct, frozen=True):
    """A fault and its weight among the others."""

    fault: str
    weight: float
    account: bool = True


# Faults that leave a text on the telephone although nobody was told so in time: then the SMS comes as well.
LATE = f"delivered:{PATIENCE_S + 3:g}s"
SHARES = (
    Share("delivered", 34),
    Share("read", 8),
    Share("read_only", 5),
    Share("no account", 14, account=False),
    Share("delivered+twice", 3),
    Share("read+shuffle", 3),
    Share("delivered+early", 3),
    Share("read+shuffle+early+twice", 3),
    Share("sent_only", 3),
    Share("never", 3),
    Share("fails", 3),
    Share("fails+early+twice", 2),
    Share("fails_at_once", 2),
    Share("refuses", 2),
    Share("http:503", 2),
    Share("http:503+times:1", 1),
    Share("429:1", 2),
    Share("hang", 1),
    Share("hang+never", 1),
    Share("reset", 1.5),
    Share("lost", 1),
    Share("hang+fails", 0.5),
    Share(LATE, 1),
)
OF_META = (
    Share("fails_with:131026", 1),
    Share("fails_with:131000+times:1", 1),
    Share("refuses:131056+times:1", 1),
    Share("refuses:132001", 0.5),
    Share("fails_with:999999", 0.5),
)
# The documented window: an answer that was lost, or a word that came after the SMS went. Meta gives our own id back,
# and WAHA takes one, so that there a lost answer is made good by the status.
MAY_BE_SERVED_TWICE = frozenset({"hang", "reset", LATE})
KNOWN_BY_US = frozenset({"cloud_api", "waha"})
# An operator that throttles is asked less and less, whomever it throttles; that is tested elsewhere.
OPERATOR_SHARES = (("", 92.0), ("undeliv", 3.0), ("twice", 2.0), ("early", 1.5), ("receipt:2s", 1.5))
# Beside what people meet: what befalls the sender, as shares of the run, and for how long.
TROUBLES = (("logged_out:3s+times:1", 0.3), ("banned:4s+times:1", 0.65))


def fates(count: int, api: str, rng: random.Random) -> Iterator[tuple[str, Fate]]:
    """(number, what happens) for so many people, no number twice, in the order in which they are written to."""
    shares = SHARES + (OF_META if api == "cloud_api" else ())
    weights, words = [share.weight for share in shares], [word for word, _ in OPERATOR_SHARES]
    chosen = rng.choices(shares, weights, k=count)
    operators = rng.choices(words, [weight for _, weight in OPERATOR_SHARES], k=count)
    troubles = {int(count * share): trouble for trouble, share in TROUBLES}
    areas = (11, 21, 31, 41, 51, 85)
    for index, (share, operator) in enumerate(zip(chosen, operators, strict=True)):
        number = f"55{areas[index % len(areas)]}99{index:07d}"
        if index in troubles:
            yield number, Fate(troubles[index])
        else:
            yield number, Fate(share.fault, share.account, operator)


def twice_is_allowed(fault: str, api: str) -> bool:
    """May somebody who met this fault get the text over both channels?"""
    return fault == LATE or (fault in MAY_BE_SERVED_TWICE and api not in KNOWN_BY_US)
