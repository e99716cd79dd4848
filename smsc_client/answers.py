"""What an operator's error answer to a submit_sm means for the message."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.messages.outcome import Refused, TryLater
from gateway.smpp import status
from gateway.smpp.constants import CommandStatus, Tag
from gateway.smpp.pdu import Pdu, tlv
from gateway.smpp.status import Verdict

RETRY_S = (5.0, 30.0, 120.0, 600.0, 1800.0)  # the last one again and again
JITTER = 0.2
RMSGQFUL = int(CommandStatus.ESME_RMSGQFUL)


def of_error(response: Pdu, tries: int, random: float, told: Mapping[int, str]) -> Refused | TryLater | Verdict:
    """The meaning of an error status: a result, or Verdict.THROTTLED or Verdict.LINK, which don't end the attempt.

    response: a submit_sm_resp or generic_nack that is not ESME_ROK. tries: retries so far. random: in [0, 1). told:
    the channel's own `status` table, which comes before the general reading.
    """
    code = response.command_status
    word = told.get(code)
    if word is not None:
        return _as_told(word, code, tries, random)
    reason = tlv(response, Tag.DELIVERY_FAILURE_REASON)
    failure_reason = reason[0] if reason else None
    verdict = status.classify(code, failure_reason)
    if code == RMSGQFUL:  # as throttling at first: it mostly speaks of our queue at the operator
        return Verdict.THROTTLED
    if verdict is Verdict.THROTTLED or verdict is Verdict.LINK:
        return verdict
    if verdict is Verdict.TEMPORARY:
        limit = status.retry_limit(code, failure_reason)
        if limit is None or tries < limit:
            return later(code, tries, random)
    return Refused(reason="refused", code=str(code), rejected=True, ends=True)


def _as_told(word: str, code: int, tries: int, random: float) -> Refused | TryLater | Verdict:
    """One of the words of `status`; see docs/configuration.md."""
    match word:
        case "retry":
            return later(code, tries, random)
        case "slow_down":
            return Verdict.THROTTLED
        case "rebind":
            return Verdict.LINK
    return Refused(reason="refused", code=str(code), rejected=True, ends=word == "fail")


def later(code: int, tries: int, random: float) -> TryLater:
    """The back-off of the retry after `tries` retries: 5 s, 30 s, 2 min, 10 min, 30 min, give or take 20 %."""
    after_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
    return TryLater(after_s=after_s * (1 - JITTER + 2 * JITTER * random), reason="temporary", code=str(code))
