"""The operator or the WhatsApp provider of a soak run, as a process that may be killed at any moment.

    python -m tools.outside operator --port 2776 --journal operator.journal
    python -m tools.outside provider --port 8080 --journal provider.journal --webhook http://127.0.0.1:8081/webhooks/zap

Both write what they do into a journal. An operator that comes back reports what it has taken before, as operators do,
for they keep it on disk; a provider that comes back has forgotten what it had not delivered yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from twisted.internet import endpoints, protocol

from tools.clock import Clock
from tools.http_door import site
from tools.journal import Entry, Journal, Reader
from tools.scripts import Ack, OperatorScript, WhatsAppScript
from tools.smsc_simulator import SmscSettings, SmscSimulator, Submit
from tools.units import fraction, per_second
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import EvolutionSettings, EvolutionSimulator, Sent

AGAIN_S = 5.0  # receipts so young when the operator died may not have arrived: they go out again
SLOWEST_ANSWER_S = 0.3  # answers take 50 to 300 ms, by the last digit of the number


def answer_after_s(digit: str) -> float:
    """How long both peers take to answer for a number that ends so."""
    return 0.05 + (SLOWEST_ANSWER_S - 0.05) * int(digit) / 9


def operator(options: argparse.Namespace, clock: Clock) -> SmscSimulator:
    """The operator, with what its last life left to be reported."""
    before = list(Reader(options.journal).more())
    journal = Journal(options.journal)

    def told(what: str, submit: Submit) -> None:
        kind = "submit" if what == "submit" else "receipt"
        journal.write(
            Entry(float(clock.seconds()), kind, submit.dest, str(submit.number), submit.status, submit.source or "-")
        )

    settings = SmscSettings(
        system_id="pombo", password=os.environ["OPERATOR_PASSWORD"], ids="hex",
        rate=options.rate, dropped=options.dropped,
    )  # fmt: skip
    numbers = [int(entry.id) for entry in before if entry.what == "submit"]
    smsc = SmscSimulator(settings, clock, watch=told, first_number=max([*numbers, 1_000_000]) + 1)
    for digit in "0123456789":
        script = OperatorScript(answer_after_s=answer_after_s(digit), receipt_after_s=0.2 + answer_after_s(digit))
        smsc.scripts.set(f"*{digit}", script)
    died_at = max((entry.at for entry in before), default=0.0)
    reported = {entry.id for entry in before if entry.what == "receipt" and entry.at < died_at - AGAIN_S}
    for entry in before:
        if entry.what == "submit" and not entry.status and entry.id not in reported:
            taken = Submit(entry.at, entry.source, entry.number, 0, 0, 1, b"", 0, int(entry.id))
            smsc.report(taken, "DELIVRD", "000")
    return smsc


def provider(options: argparse.Namespace, clock: Clock) -> EvolutionSimulator:
    """The WhatsApp provider. Every text it takes is delivered within a second, unless it dies before."""
    journal = Journal(options.journal)

    def told(what: str, sent: Sent) -> None:
        journal.write(
            Entry(float(clock.seconds()), what.replace(" ", "-"), sent.person, sent.message_id or "-", sent.status)
        )

    webhooks = Webhooks(http_post(clock), clock, url=options.webhook, first_gap_s=0.5)
    settings = EvolutionSettings(key=os.environ["ZAP_KEY"], share=options.share)
    simulator = EvolutionSimulator(settings, clock, webhooks, watch=told)
    for digit in "0123456789":
        wait_s = answer_after_s(digit)
        simulator.scripts.set(f"*{digit}", WhatsAppScript(acks=(Ack(wait_s, "sent"), Ack(0.2 + wait_s, "delivered"))))
    return simulator


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("operator", "provider"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--webhook", default="")
    parser.add_argument("--share", type=fraction, default=0.5, help="of people with WhatsApp")
    parser.add_argument("--rate", type=per_second, default=0.0, help="beyond it: ESME_RTHROTTLED")
    parser.add_argument("--dropped", type=fraction, default=0.0, help="share that is taken and never answered")
    options = parser.parse_args()
    from twisted.internet import reactor as default

    reactor: Any = default
    protocol.Factory.noisy = False
    factory = operator(options, reactor) if options.which == "operator" else site(provider(options, reactor).answer)
    twisted: Any = endpoints  # carries no types
    listening = twisted.TCP4ServerEndpoint(reactor, options.port, interface="127.0.0.1").listen(factory)
    listening.addErrback(lambda failure: (print(failure.getErrorMessage(), file=sys.stderr), reactor.stop()))
    reactor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
