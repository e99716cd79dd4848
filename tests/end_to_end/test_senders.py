"""Two senders of one channel over sockets: threads that outlive the process, a ban, and what is shown of it."""

from __future__ import annotations

from twisted.internet import reactor

from tests.end_to_end.biller import Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import KEY, Stage
from tools.http_door import site
from tools.ports import free_port
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import EvolutionSettings, EvolutionSimulator, WhatsAppProvider

NUMBER, SHOWN = "5511987654321", "…4321"  # an instance that is called by its number, as many are
PEOPLE = [f"55119888800{index:02d}" for index in range(16)]


class TwoSenders(Stage):
    """`at`: the simulators by the sender's name."""

    async def open_both(self) -> None:
        webhooks = Webhooks(http_post(reactor), reactor, url=f"{self.node.url}/webhooks/zap", first_gap_s=0.2)  # type: ignore[arg-type]
        second = EvolutionSimulator(EvolutionSettings(key=KEY, instance=NUMBER), reactor, webhooks)  # type: ignore[arg-type]
        port = free_port()
        bridge = self.settings["bridge"][0]
        del bridge["instance"]
        bridge["senders"] = [{"instance": "main"}, {"instance": NUMBER, "url": f"http://127.0.0.1:{port}"}]
        self.at: dict[str, WhatsAppProvider] = {"main": self.provider, SHOWN: second}
        for simulator in self.at.values():
            for number in PEOPLE:
                simulator.people.add(number)
        await self.open_operator()
        await self.open_provider()
        await self._listen("second", site(second.answer), port)

    def threads(self) -> dict[str, set[str]]:
        """Whom each sender has written to."""
        return {name: {sent.person for sent in one.sends if sent.message_id} for name, one in self.at.items()}

    async def went(self, biller: Biller) -> list[str]:
        """A text for everybody; all are delivered by WhatsApp."""
        answers = [await biller.submit(number, "Sua fatura vence amanha") for number in PEOPLE]
        ids = [answer.message_id for answer in answers]
        await self.until(lambda: all(biller.receipts_of(one) for one in ids), "everybody has it", 20)
        assert {receipt.channel for one in ids for receipt in biller.receipts_of(one)} == {"zap"}
        return ids


@in_reactor
async def test_people_keep_their_sender_over_a_restart_and_get_another_one_when_it_is_banned() -> None:
    stage = TwoSenders(reactor)
    try:
        await stage.open_both()
        await stage.start()
        biller = await stage.bind()
        await stage.went(biller)
        before = stage.threads()
        assert set().union(*before.values()) == set(PEOPLE) and not before["main"] & before[SHOWN]
        assert all(before.values())

        await stage.stop()
        await stage.start()
        biller = await stage.bind()
        await stage.went(biller)
        assert stage.threads() == before

        await stage.at[SHOWN].connect(False, banned=True)
        ids = await stage.went(biller)
        assert stage.threads() == {"main": set(PEOPLE), SHOWN: before[SHOWN]}

        main, second = (await stage.channel("zap"))["senders"]
        assert (main["name"], main["up"], main["state"], main["quarantined"]) == ("main", True, "up", False)
        assert (second["name"], second["up"], second["state"], second["quarantined"]) == (
            SHOWN, False, "logged_out", True,
        )  # fmt: skip
        metrics = await stage.metrics()
        assert metrics['pombo_sender_up{channel="zap",sender="main"}'] == 1
        assert metrics[f'pombo_sender_up{{channel="zap",sender="{SHOWN}"}}'] == 0
        assert metrics['pombo_sender_sent_total{channel="zap",sender="main"}'] == len(before["main"]) + len(PEOPLE)
        trace = await stage.message(ids[0])
        assert [step.get("detail") for step in trace["events"] if step["event"] == "sent"] == ["by main"]
        shown = f"{metrics} {await stage.status()} {stage.gateway.log()}"
        assert NUMBER not in shown
    finally:
        await stage.close()
