"""What systemd hears of the node, where its unit says Type=notify: that it is ready, what it waits for, that it ends.

Source: sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

READY, STOPPING = "READY=1\nSTATUS=ready", "STOPPING=1\nSTATUS=stopping"
WAITS_FOR_STORE = "STATUS=waiting for the store"


def tell(words: str, environ: Mapping[str, str] = os.environ) -> None:
    """Nobody is told where nobody asked, and nothing is said where nobody hears."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
        to.send(words.encode())
