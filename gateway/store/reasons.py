"""Why a store cannot be used, in words that say what would be right and quote nothing of what was in the call."""

from __future__ import annotations

from twisted.internet import defer
from twisted.internet import error as errors

from gateway.store.sentinel import NoMaster

UNWELCOME = {  # error words with which a server does not let us in
    "NOAUTH": "wants a password: give it in store.url",
    "WRONGPASS": "refuses the password of store.url",
    "without any password": "has no password, and store.url gives one",
    "DB index is out of range": "has no database of the number in store.url",
    "NOPERM": "does not let the user of store.url do what is needed",
    "Lost connection": "closes the connection",
}
REFUSALS = {  # error words with which a server refuses writes for now
    "MISCONF": "cannot write to disk",
    "OOM": "out of memory",
    "READONLY": "is a replica",
    "LOADING": "still reading its files",
    "BUSY": "busy with a script",
    "MASTERDOWN": "a replica without its master",
    "NOREPLICAS": "has too few replicas",
}
UNREACHABLE = (  # what stands in the way of a link
    ((errors.TimeoutError, defer.TimeoutError), "does not answer"),
    (errors.DNSLookupError, "is a name that is not known"),
    (errors.ConnectError, "takes no connections"),
    (errors.ConnectionClosed, "closes the connection"),
)


class NotTheMaster(Exception):
    """The server that was the master is none now, or not any more."""


def refuses_writes(text: str) -> bool:
    """Does an error answer mean that nothing was kept, and that the same call may be kept later?"""
    return any(word in text for word in (*REFUSALS, "NOSCRIPT"))


def reason(error: BaseException) -> str:
    """A short reason without data: server errors may quote arguments."""
    if isinstance(error, NotTheMaster):
        return "what the sentinels name as the master is a replica"
    text = str(error)
    if isinstance(error, NoMaster):
        return text
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {error.filename}"
    for word, meaning in {**REFUSALS, **UNWELCOME}.items():
        if word in text:
            return meaning
    return next((meaning for kind, meaning in UNREACHABLE if isinstance(error, kind)), type(error).__name__)
