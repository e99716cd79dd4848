"""A reload that is asked for before there is anybody to do it waits for them."""

from __future__ import annotations

import subprocess
import sys

PROCESS = """
import os, signal
from gateway import signals
signals.hold_hangup()
os.kill(os.getpid(), signal.SIGHUP)
print("alive", flush=True)
signal.signal(signal.SIGHUP, lambda *_: print("asked", flush=True))
signals.release_hangup()
os.kill(os.getpid(), signal.SIGHUP)
"""


def test_a_hangup_neither_ends_a_process_that_holds_it_nor_is_lost() -> None:
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.split()) == (0, ["alive", "asked", "asked"])
