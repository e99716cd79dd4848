"""A long run with every fault at once, by hand: each message ends once, with one receipt, and nobody is served twice.

    .venv/bin/python -m tools.mixed_run --count 20000 --provider waha

A gateway in a process of its own, over sockets, between a billing client, an operator and a WhatsApp provider that do
what tools.mixed_cast says. Exit status 0 only when every promise was kept. The seed says who meets what.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter, defaultdict
from typing import Any

from twisted.internet import endpoints
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from gateway.delivery.pacing import Pacer
from gateway.smpp import charset, pdu, receipt_text
from gateway.smpp.constants import EsmClass
from gateway.smpp.events import Answered, Bound, Event, Received, Unanswered
from gateway.smpp.session import Role, SessionSettings
from tools.clock import pause
from tools.demo_stage import Stage, StageError
from tools.mixed_cast import PATIENCE_S, Fate, fates
from tools.mixed_report import Outcome, broken_promises, report, story_of
from tools.people import person_of
from tools.scripts import OPERATOR_WORDS, WHATSAPP_WORDS, OperatorScript, WhatsAppScript, read_script
from tools.session_protocol import SessionProtocol
from tools.terminal import Terminal
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import SIMULATORS, ProviderSettings, Sent

TEXT = "Sua fatura vence amanha"
SECRET, VERIFY = "w3bh00k-s3cret-of-this-run", "v3rify-of-this-run"
WINDOW = 200
LAST_S = 60.0 + PATIENCE_S  # for the last receipt
LOOK_S, STOOD_S = 0.2, 1.0
EXAMPLES = 3  # of a broken promise
QUIET_S = 5.0  # after it, for receipts that should not come


_FALLBACKS = re.compile(r'^pombo_fallback_total\{.*reason="(\w+)".*\} (\S+)', re.MULTILINE)


class Billing(SessionProtocol):
    """Submits one text to each number, at a rate and within a window, and keeps what comes back."""

    role = Role.ESME
    settings = SessionSettings(window=WINDOW, response_timeout=60.0)

    def __init__(self, clock: Any, password: str, numbers: list[str], rate: float) -> None:
        super().__init__(clock)
        self._bind = pdu.BindTransceiver(system_id="billing", password=password, interface_version=0x34)
        self._waiting, self._rate = list(reversed(numbers)), rate
        self._pacer: Pacer | None = None
        self.ids: dict[str, str] = {}  # number -> message_id
        self.refused: Counter[int] = Counter()
        self.receipts: dict[str, list[str]] = defaultdict(list)  # message_id -> stats
        self.began_at = self.last_at = 0.0  # of an answer or a receipt

    @property
    def answered(self) -> int:
        return len(self.ids) + sum(self.refused.values())

    def on_open(self) -> None:
        self.began_at = self.now()
        self.session.request(self._bind, self.now())

    def on_event(self, event: Event) -> None:
        match event:
            case Bound():
                self._pacer = Pacer(self._rate, self.now())
                self._pump()
            case Answered(context=str() as number, response=response):
                if response.command_status:
                    self.refused[int(response.command_status)] += 1
                elif isinstance(response, pdu.SubmitSmResp):
                    self.ids[number] = response.message_id
                    self.last_at = self.now()
                self._pump()
            case Unanswered(context=str()):
                self.refused[-1] += 1
            case Received(pdu=pdu.DeliverSm() as request):
                self.session.respond(pdu.DeliverSmResp(sequence_number=request.sequence_number))
                read = receipt_text.parse(request.short_message)
                if request.esm_class & EsmClass.DELIVERY_RECEIPT and read is not None and read.message_id:
                    self.receipts[read.message_id].append(read.stat or "?")
                    self.last_at = self.now()

    def _pump(self) -> None:
        now = self.now()
        while self._waiting and self._pacer is not None and self.session.free > 0:
            if not self._pacer.available(now):
                self.clock.callLater(max(self._pacer.next_at(now) - now, 0.002), self._pump)
                break
            self._pacer.take(1, now)
            number = self._waiting.pop()
            data_coding, octets = charset.choose(TEXT)
            request = pdu.SubmitSm(
                source_addr="28940", dest_addr_ton=1, dest_addr_npi=1, destination_addr=number, registered_delivery=1,
                data_coding=data_coding, short_message=octets,
            )  # fmt: skip
            self.session.request(request, now, number)
        self.flush()


class MixedStage(Stage):
    """The demo's stage with another provider, other people, and more room."""

    def __init__(self, reactor: Any, api: str, deletes: bool) -> None:
        super().__init__(reactor)
        self.api, self._deletes = api, deletes
        self.read: Counter[str] = Counter()  # person -> texts that reached their telephone
        self._seen: set[str] = set()
        webhooks = Webhooks(http_post(reactor), reactor, url=f"{self.node.url}/webhooks/zap", first_gap_s=0.5)
        settings = ProviderSettings(key=self._key, webhook_secret=SECRET, verify_token=VERIFY, answer_after_s=0.03)
        self.provider = SIMULATORS[api](settings, reactor, webhooks, watch=self._watch)

    def _watch(self, what: str, sent: Sent) -> None:
        if what in ("delivered", "read") and sent.message_id not in self._seen:
            self._seen.add(sent.message_id)
            self.read[sent.person] += 1

    def configuration(self) -> dict[str, Any]:
        found = super().configuration()
        proof = (
            {"app_secret": SECRET, "verify_token": VERIFY} if self.api == "cloud_api" else {"webhook_secret": SECRET}
        )
        found["bridge"][0] |= {
            "provider": self.api, "throughput": "400/s", "timeout": "3s", **proof,
            "lookup": {"deadline": "2s", "budget": "60000/m"}, "health": {"window": "20s", "quarantine": "4s"},
        }  # fmt: skip
        if self._deletes:
            found["bridge"][0]["delete_before_sms"] = True
        if self.api == "cloud_api":
            template = {"name": "fatura", "language": "pt_BR", "match": "Sua fatura (?P<t>.*)", "body": ["{t}"]}
            found["bridge"][0]["templates"] = [template]
            found["bridge"][0]["url"] += "/v25.0"
        found["smsc_client"][0] |= {"throughput": "1000/s", "window": 200}
        found["smpp_server"]["accounts"][0] |= {"throughput": "5000/s", "window": 500}
        found["routes"][0]["fallback_after"] = f"{PATIENCE_S:g}s"
        return found

    def direct(self, cast: dict[str, Fate]) -> None:
        """Tell the simulators who has an account and what goes wrong."""
        for number, fate in cast.items():
            if fate.account:
                self.provider.people.add(number)
                script = read_script(fate.fault, WHATSAPP_WORDS, WhatsAppScript())
                self.provider.scripts.set(person_of(number), script)
            if fate.operator:
                self.operator.scripts.set(number, read_script(fate.operator, OPERATOR_WORDS, OperatorScript()))


class MixedRun:
    """One run. `outcomes` once it is over."""

    def __init__(self, reactor: Any, terminal: Terminal, options: argparse.Namespace) -> None:
        self._reactor, self._terminal, self._options = reactor, terminal, options
        self._cast = dict(fates(options.count, options.provider, random.Random(options.seed)))
        self._stage = MixedStage(reactor, options.provider, options.delete)
        self._stage.direct(self._cast)
        self._billing = Billing(reactor, self._stage.password, list(self._cast), options.rate)
        self._closed = False
        self._stood_s = 0.0  # the longest time in which nobody here could do anything
        self.outcomes: list[Outcome] = []

    async def perform(self) -> int:
        """The whole run and its report; the exit status."""
        kept = False
        try:
            await self._stage.open_simulators()
            await self._stage.start_gateway()
            began_at = self._reactor.seconds()
            twisted: Any = endpoints  # carries no types
            door = twisted.TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._stage.smpp_port)
            await twisted.connectProtocol(door, self._billing)
            await self._wait()
            took_s = self._reactor.seconds() - began_at
            self.outcomes = await self._gather()
            _, page = await deferToThread(self._stage.node.ask, "GET", "/metrics")
            kept = self._report(took_s, str(page))
        except StageError as error:
            self._terminal.region([])
            self._terminal.line(self._terminal.paint(str(error), "red"))
        finally:
            await self.close(keep=not kept)
        return 0 if kept else 1

    async def close(self, keep: bool = False) -> None:
        """Take everything down; once."""
        if not self._closed:
            self._closed = True
            self._stage.provider.webhooks.url = ""
            await self._stage.close(keep)
            if keep:
                self._terminal.line(f"The gateway's log and store are in {self._stage.directory}")

    async def _wait(self) -> None:
        """Until every receipt is here and nothing more comes, or patience ends."""
        billing, count, still_s = self._billing, self._options.count, 0.0
        while still_s < LAST_S:  # without a receipt, a send or an answer
            if not self._stage.alive:
                raise StageError(f"the gateway ended by itself\n{self._stage.log_tail()}")
            owed = len(billing.ids.keys()) - len(billing.receipts)
            moved_at = max(billing.last_at, self._stage.provider.sends[-1].at if self._stage.provider.sends else 0.0)
            still_s = self._reactor.seconds() - max(moved_at, billing.began_at)
            if billing.answered == count and owed <= 0 and still_s > QUIET_S:
                return
            self._terminal.region([f"answered {billing.answered} of {count}, {owed} receipts owed"])
            looked_at = self._reactor.seconds()
            await pause(self._reactor, LOOK_S)
            self._stood_s = max(self._stood_s, self._reactor.seconds() - looked_at - LOOK_S)

    async def _gather(self) -> list[Outcome]:
        """Everybody's end, from the node, the billing client, the operator and the provider."""
        billing, node = self._billing, self._stage.node
        taken = Counter(sent.person for sent in self._stage.provider.sends if sent.message_id)
        sms = Counter(submit.dest for submit in self._stage.operator.submits if not submit.status)
        outcomes = []
        for number, fate in self._cast.items():
            message_id, person = billing.ids.get(number, ""), person_of(number)
            found = await deferToThread(node.message, message_id) if message_id else None
            outcomes.append(
                Outcome(
                    number, fate, message_id, billing.receipts.get(message_id, []),
                    state=found["state"] if found else "", channel=(found["channel"] or "") if found else "",
                    finals=sum(e["event"] == "receipt_queued" for e in found["events"]) if found else 0,
                    whatsapp=taken[person], read=self._stage.read[person], sms=sms[number],
                    story=story_of(found["events"]) if found else "",
                )
            )  # fmt: skip
        return outcomes

    def _report(self, took_s: float, metrics: str) -> bool:
        """Print what became of whom, and every promise that was broken; True when none was."""
        self._terminal.region([])
        for line in report(self.outcomes):
            self._terminal.line(line)
        answers = sorted(self._stage.provider.webhooks.answers.items())
        hooks = ", ".join(f"{status or 'none'} {n}" for status, n in answers)
        rate = len(self.outcomes) / took_s
        self._terminal.line(f"{took_s:.1f} s with the last fallback, {rate:.0f} messages/s; webhooks answered: {hooks}")
        reasons = Counter({reason: int(float(n)) for reason, n in _FALLBACKS.findall(metrics)}).most_common()
        self._terminal.line("fallbacks: " + ", ".join(f"{reason} {n}" for reason, n in reasons))
        if self._stood_s > STOOD_S:
            self._terminal.line(f"this machine stood still for {self._stood_s:.1f} s: what came late says nothing")
        stood_still = self._stood_s > STOOD_S
        broken = broken_promises(self.outcomes, self._options.provider, stood_still=stood_still)
        for promise, outcomes in broken.items():
            faults = ", ".join(f"{fault} {n}" for fault, n in Counter(o.fate.fault for o in outcomes).most_common())
            self._terminal.line(self._terminal.paint(f"{len(outcomes)} {promise} ({faults})", "red"))
            for outcome in outcomes[:EXAMPLES]:
                self._terminal.line(f"  {outcome.message_id or 'without an id'}: {outcome.story}")
        if not broken:
            self._terminal.line("every message ended once, with one receipt, and nobody was served twice out of turn")
        return not broken


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.mixed_run", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=20_000, help="messages (%(default)s)")
    parser.add_argument("--rate", type=float, default=150.0, help="submits per second (%(default)s)")
    parser.add_argument("--provider", choices=tuple(SIMULATORS), default="evolution", help="(%(default)s)")
    parser.add_argument("--delete", action="store_true", help="with delete_before_sms")
    parser.add_argument("--seed", type=int, default=1, help="of who meets what (%(default)s)")
    from twisted.internet import reactor as default

    reactor: Any = default
    run = MixedRun(reactor, Terminal(sys.stdout), parser.parse_args(arguments))
    statuses: list[int] = []

    def ended(status: Any) -> None:
        if isinstance(status, int):
            statuses.append(status)
        else:
            status.printTraceback()
        if reactor.running:
            reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run.perform()).addBoth(ended))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(run.close()))
    reactor.run()
    return statuses[0] if statuses else 1


if __name__ == "__main__":
    sys.exit(main())
