"""Kannel as a billing system's SMS gateway: its two boxes, and the web server that it tells of receipts and replies."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from twisted.internet import endpoints
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import Site

from tools.ports import free_port

WORD = "b0xes"
HTTP_S = 10
LEAVE_S = 15
DELIVERED, FAILED, BUFFERED, SUBMITTED, REFUSED = 1, 2, 4, 8, 16  # what a dlr-mask asks for, and %d tells

CONFIGURATION = """
group = core
admin-port = {admin}
admin-password = {word}
smsbox-port = {boxes}
log-file = "{directory}/bearerbox.log"
log-level = 0
dlr-storage = internal
sms-resend-freq = 1

{binds}
group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
log-file = "{directory}/smsbox.log"
log-level = 0

group = sendsms-user
username = billing
password = {word}
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:{told}/reply?from=%p&to=%P&coding=%c&text=%b"
"""

SMSC = """
group = smsc
smsc = smpp
smsc-id = pombo
host = 127.0.0.1
{bind}
smsc-username = {system_id}
smsc-password = {password}
system-type = ""
interface-version = 34
enquire-link-interval = 1
reconnect-delay = 60
max-pending-submits = 10
"""


class Kannel(Resource):
    """The boxes, and what they told: `receipts` as (message id, type), `replies` as (from, to, text)."""

    isLeaf = True

    def __init__(self, programs: tuple[str, str], directory: Path) -> None:
        """programs: bearerbox, smsbox."""
        super().__init__()
        self._programs, self.directory = programs, directory
        self._configuration = directory / "kannel.conf"
        self._ports = {name: free_port() for name in ("admin", "boxes", "sendsms")}
        self._boxes: list[subprocess.Popen[bytes]] = []
        self._listening: Any = None
        self.receipts: dict[str, list[tuple[str, int]]] = {}
        self.replies: list[tuple[str, str, str]] = []

    async def start(self, reactor: Any, port: int, system_id: str, password: str, *, pair: bool = False) -> None:
        """Bind to 127.0.0.1:`port`. pair: as transmitter and receiver instead of transceiver."""
        twisted: Any = endpoints  # carries no types
        self._listening = await twisted.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(self))
        values = {
            **self._ports, "told": self._listening.getHost().port, "word": WORD, "directory": self.directory,
            "port": port, "system_id": system_id, "password": password,
        }  # fmt: skip
        binds = (f"port = {port}", f"receive-port = {port}") if pair else (f"port = {port}\ntransceiver-mode = true",)
        values["binds"] = "".join(SMSC.format(**values, bind=bind) for bind in binds)
        self._configuration.write_text(CONFIGURATION.format(**values))
        self._run(self._programs[0], "bearerbox")

    def _run(self, program: str, name: str) -> None:
        with open(self.directory / f"{name}.out", "ab") as out:
            command = [program, str(self._configuration)]
            self._boxes.append(subprocess.Popen(command, cwd=self.directory, stdout=out, stderr=out))

    def start_smsbox(self) -> None:
        """Once the bearerbox listens, which `state` shows."""
        self._run(self._programs[1], "smsbox")

    def state(self) -> str:
        """How the bearerbox finds its binds, if all are alike; empty when it does not answer."""
        lines = [line for line in self._status().splitlines() if "pombo" in line and "SMPP" in line]
        states = {line.partition("(")[2].partition(" ")[0].rstrip(",)") for line in lines}
        return states.pop() if len(states) == 1 else ""

    def smsbox_connected(self) -> bool:
        """A text that comes to the smsbox before it has reached the bearerbox makes it crash."""
        return "smsbox:" in self._status()

    def _status(self) -> str:
        return self._get(self._ports["admin"], "/status.txt", password=WORD)

    def submit(self, source: str, dest: str, text: str, *, mask: int, gsm: bool) -> str:
        """Ask the smsbox to send a text with receipts for `mask`; its answer, empty when there is none. Blocks."""
        told = f"http://127.0.0.1:{self._listening.getHost().port}/receipt?to=%p&type=%d&id=%F"
        return self._get(
            self._ports["sendsms"], "/cgi-bin/sendsms", username="billing", password=WORD, **{"from": source}, to=dest,
            text=text, charset="UTF-8", coding="0" if gsm else "2", **{"dlr-mask": str(mask), "dlr-url": told},
        )  # fmt: skip

    @staticmethod
    def _get(port: int, path: str, **words: str) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}?{urlencode(words)}", timeout=HTTP_S) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def render_GET(self, request: Any) -> bytes:
        """A receipt or a reply comes from the smsbox."""
        value = {name.decode(): values[0] for name, values in request.args.items()}
        if request.path == b"/receipt":
            told = (value.get("id", b"").decode(), int(value["type"]))
            self.receipts.setdefault(value["to"].decode(), []).append(told)
        else:
            text = value["text"].decode("utf-16-be" if value["coding"] == b"2" else "utf-8")
            self.replies.append((value["from"].decode(), value["to"].decode(), text))
        return b""

    def complaints(self) -> str:
        return "\n".join(path.read_text("utf-8", "replace")[-2000:] for path in self.directory.glob("*box.out"))

    def leave(self) -> None:
        """Ask the bearerbox to unbind and end; the smsbox ends with it."""
        self._boxes[0].terminate()

    @property
    def running(self) -> bool:
        return any(box.poll() is None for box in self._boxes)

    async def close(self) -> None:
        if self._boxes:
            self.leave()
        await deferToThread(self._end)  # they take their leave of the gateway through this process
        if self._listening is not None:
            await self._listening.stopListening()

    def _end(self) -> None:
        for box in self._boxes:
            with suppress(subprocess.TimeoutExpired):
                box.wait(LEAVE_S)
            box.kill()
            box.wait()
