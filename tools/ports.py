"""TCP ports for what is started here and started again."""

from __future__ import annotations

import random
import socket

# Below the range that systems give to outgoing connections (32768 and up on Linux, 49152 elsewhere): such a port can
# be taken by any of them while the server that it is meant for is restarted.
LOWEST, HIGHEST = 15_000, 32_000


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.SystemRandom().randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
