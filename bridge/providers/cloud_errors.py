"""What an error code of the Cloud API means for a message, its template, the sender and the account.

The same codes come in the answer to a send and in a `failed` status. Source: Cloud API, "Error codes"; decided by
`code` and `error_data.details`, for subcodes and titles go away and the HTTP status is not reliable.
"""

from __future__ import annotations

import re

from gateway.messages.outcome import AttemptResult, ChannelDown, NoAccount, Refused, TryLater

# What follows -> the codes and what they say.
#   no_account     nothing reaches this number for a day
#   refused        this message on this channel is over
#   window_closed  a free text outside of the window: another form may go
#   template       something is wrong with the template or how it is filled; template_paused: Meta put it aside
#   configuration  somebody has to look at it
#   unknown_code   in no row: over for this message, and counted by this reason
#   later, throttled, pair_rate, unknown_error, bad_request   the same again after a while
#   the others close the sender: unauthorized, logged_out and unknown_instance until its state is good again, blocked
#   and account_blocked until one message got through, overloaded and maintenance for seconds (see bridge.faults)
TABLE: dict[str, dict[int, str]] = {
    "no_account": {
        130403: "we blocked this user",
        131021: "sender and recipient are the same",
        131026: "undeliverable: no account, terms not accepted, or a client that is too old",
    },
    "refused": {
        130472: "the user is part of an experiment",
        131049: "held back for a healthy ecosystem",
        131050: "the user stopped marketing messages",
        131052: "inbound media cannot be fetched",
        131053: "media could not be uploaded",
        131060: "inbound message is unavailable",
        132005: "the text is too long once its parameters are in",
        132068: "flow is blocked",
        132069: "flow is throttled",
        137000: "the user registered anew: the identity key does not match",
    },
    "window_closed": {131047: "more than 24 hours since the person wrote"},
    "template": {
        131055: "wrong API for this category",
        131063: "marketing templates are disabled on this API",
        132000: "the number of parameters does not match the template",
        132001: "no approved template of this name and language",
        132007: "the template breaks the content policy",
        132008: "the format of a parameter does not match the template",
        132012: "the format of a parameter does not match the template",
        134100: "marketing messages API only",
        134101: "marketing messages API only",
        134102: "marketing messages API only",
    },
    "template_paused": {
        132015: "the template is paused for its quality",
        132016: "the template is disabled for good",
    },
    "direct_send_off": {139200: "Direct Send is blocked"},
    "configuration": {
        100: "invalid parameter",
        130497: "this account may not message that country",
        131008: "a parameter is missing",
        131009: "a parameter has a wrong value",
        131030: "the recipient is not in the list of the test number",
        131051: "unsupported type of message",
        131062: "this message needs a phone number",
        132018: "a parameter's text is invalid",
        132021: "the name is taken by another template",
        133000: "registration",
        133005: "registration",
        133006: "registration",
        133007: "registration",
        133008: "registration",
        133009: "registration",
        133015: "registration",
        133016: "registration",
        134011: "the terms for payments are not accepted",
        135000: "a parameter is wrong",
        2494100: "management of numbers",
    },
    "later": {80007: "limit of the account's management calls"},
    "throttled": {4: "limit of the app's calls", 130429: "throughput of the sender"},
    "pair_rate": {131056: "too many messages to one person"},
    "unknown_error": {131000: "something went wrong"},
    "bad_request": {1: "bad request, or an error of the server"},
    "overloaded": {
        2: "temporarily unavailable",
        131016: "overloaded",
        133004: "temporarily unavailable",
    },
    "maintenance": {131057: "the sender is being upgraded"},
    "unauthorized": {
        0: "the token is not valid",
        3: "permission is missing",
        10: "permission is missing",
        190: "the token has expired",
        131005: "permission is missing",
    },
    "logged_out": {131045: "the sender is not registered", 133010: "the sender is not registered"},
    "unknown_instance": {33: "the phone number id does not exist"},
    "blocked": {
        131037: "the display name is not approved",
        131048: "the sender is restricted for spam",
    },
    "account_blocked": {
        368: "the account is restricted for breaking a policy",
        131031: "the account is locked",
        131042: "there is a problem with the payment",
        131064: "limit for templates of a wrong category",
    },
}

# The class of each of these and what it closes, from small to large: message, pair (this sender and this person),
# template, sender, account, provider. A class: P permanent for this number, S over for this message here, R again after
# a while, D down, C somebody has to mend something.
MEANS: dict[str, tuple[str, str]] = {
    "no_account": ("P", "pair"),
    "refused": ("S", "message"),
    "unknown_code": ("S", "message"),
    "window_closed": ("S", "pair"),
    "template": ("C", "template"),
    "template_paused": ("CD", "template"),
    "direct_send_off": ("C", "account"),
    "configuration": ("C", "message"),
    "later": ("R", "message"),
    "throttled": ("R", "sender"),
    "pair_rate": ("R", "pair"),
    "unknown_error": ("R", "message"),
    "bad_request": ("R", "message"),
    "overloaded": ("D", "provider"),
    "maintenance": ("D", "sender"),
    "unauthorized": ("CD", "account"),
    "logged_out": ("CD", "sender"),
    "unknown_instance": ("CD", "sender"),
    "blocked": ("CD", "sender"),
    "account_blocked": ("CD", "account"),
}

PAIR_S, UNKNOWN_S = 1.0, 2.0  # first pauses; each next one is four times as long
MOST_PAUSE_S = 256.0
# Somebody must act: logged the first time.
ALARMING = frozenset(
    {"template", "template_paused", "direct_send_off", "configuration", "unknown_code", "unauthorized", "logged_out",
     "unknown_instance", "blocked", "account_blocked"}
)  # fmt: skip

_FOLLOWS = {code: follows for follows, codes in TABLE.items() for code in codes}
_SAYS = {code: says for codes in TABLE.values() for code, says in codes.items()}
_OTHERS = {  # what these say, whatever their code says elsewhere
    "unknown_code": "in no table of ours",
    "direct_send_off": "Direct Send is not enabled: texts without a template go another way",
}
_NAMES_TO = re.compile(r"""["'`(\[]to["'`)\]]|\bparam(?:eter)?:? to$|^to\b""", re.IGNORECASE)


def result_of(code: int, details: str) -> AttemptResult:
    """The result of a send that met this error. An unknown code is the end for this message on this channel."""
    text, follows = str(code), _FOLLOWS.get(code, "unknown_code")
    if code not in _FOLLOWS:
        if 200 <= code <= 299:
            follows = "unauthorized"
        elif 2_388_000 <= code <= 2_388_999:
            follows = "configuration"
        elif 138_000 <= code <= 138_999:  # calls
            follows = "refused"
    elif code == 100 and "direct send" in details.lower():
        follows = "direct_send_off"
    elif code == 131009 and _NAMES_TO.search(details):
        follows = "no_account"
    match follows:
        case "no_account":
            return NoAccount("send", text)
        case "later":
            return TryLater(2.0, "later", text)
        case "throttled":
            return TryLater(60.0 if code == 4 else 2.0, "throttled", text, counted=False)
        case "pair_rate":
            return TryLater(PAIR_S, follows, text)
        case "unknown_error" | "bad_request":
            return TryLater(UNKNOWN_S, follows, text)
        case (
            "overloaded" | "maintenance" | "unauthorized" | "logged_out" | "unknown_instance" | "blocked"
            | "account_blocked"
        ):  # fmt: skip
            return ChannelDown(follows, text)
    return Refused(follows, text, rejected=False)


def again(result: TryLater, tries: int) -> AttemptResult:
    """What "later" means for a message that was already tried so many times."""
    if result.reason == "unknown_error" and tries >= 2:
        return Refused("refused", result.code, rejected=False)
    if result.reason == "bad_request" and tries >= 1:
        return Refused("configuration", result.code, rejected=False)
    if result.reason in ("pair_rate", "unknown_error"):
        pause = min(result.after_s * 4.0 ** min(tries, 8), MOST_PAUSE_S)
        return TryLater(pause, result.reason, result.code, result.counted)
    return result


def alarm(result: AttemptResult) -> str:
    """What somebody must look at after such a result, for the log; "" when nobody must."""
    match result:
        case Refused(reason=reason, code=code) | ChannelDown(reason=reason, code=code) if reason in ALARMING:
            known = _SAYS.get(int(code), reason) if code.isascii() and code.isdigit() else reason
            return f"error {code}: {_OTHERS.get(reason, known)}"
    return ""
