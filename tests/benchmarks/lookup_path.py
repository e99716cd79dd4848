"""The path of a message whose person has no WhatsApp: the provider is asked, says no, and it goes by SMS. In steps that
are always the same."""

from __future__ import annotations

import json

from bridge.lookup import PAUSE_S, PAUSES
from gateway.smpp import pdu
from tests.benchmarks.hot_path import HotPath
from tests.benchmarks.whatsapp_path import SETTINGS, WhatsAppPath, response
from tests.gateway.delivery.house import USUAL


class LookupPath(WhatsAppPath):
    """`cycle` takes messages all the way, each to somebody whom nobody has asked about. asked: numbers by call, of the
    last cycle."""

    stages = ("submit", "looked up", "answer", "receipt", "acknowledgement")
    settings = SETTINGS | {"lookup": {"budget": "100000/s"}}
    route = USUAL

    def _open_operator(self) -> None:
        HotPath._open_operator(self)
        self._open_whatsapp()
        self.house.intake.use((USUAL,))
        self.asked: list[int] = []

    def cycle(self, each: int) -> int:
        """So many messages from every session; how many receipts were acknowledged."""
        self.read_submits(each)
        self.run()
        self._say_no()
        self.take()
        self.answer()
        self.read_receipts()
        self.run()
        return HotPath.acknowledge(self)

    def _say_no(self) -> None:
        """The provider knows nobody, until nothing more is asked."""
        self._stage, self.asked = "looked up", []
        while asked := [(line, octets) for line in self.network.lines if (octets := line.got())]:
            for line, octets in asked:
                numbers = json.loads(octets.partition(b"\r\n\r\n")[2])["numbers"]
                self.asked.append(len(numbers))
                known = [{"jid": f"{number}@s.whatsapp.net", "exists": False, "number": number} for number in numbers]
                self._do(line.protocol.dataReceived, response(200, known))
            for _ in range(2 * PAUSES):  # they are told some at a time
                self.run()
                self._do(self.clock.advance, PAUSE_S)
            self.run()

    def take(self) -> None:
        """The billing systems have their answers, and the operator has the messages."""
        for esme in self.esmes:
            assert {one.command_status for one in esme.got()} == {0}
        taken = [one for one in self.operator.got() if isinstance(one, pdu.SubmitSm)]
        self._taken = {f"{self._number:08d}{n:04d}": one for n, one in enumerate(taken)}
