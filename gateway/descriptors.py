"""How many connections and files the process may have open at a time."""

from __future__ import annotations

import resource

OF_OUR_OWN = 300  # descriptors kept for the store, operators, providers, HTTP and files
MOST = 65_536  # nobody needs more, and some systems allow no larger number


def raise_limit() -> int:
    """Raise the limit of open descriptors as far as the system lets us; returns what it is now.

    Shells and service managers begin with 1024 for historical reasons, which is less than the connections we take.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # a system with a smaller number of its own
        return soft
    return wanted
