"""`pombo simulate smsc|whatsapp|esme`: the laboratory from the command line."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import endpoints
from twisted.internet.defer import Deferred, maybeDeferred

from gateway.smpp.constants import CommandStatus
from tools import whatsapp_options
from tools.esme import Esme, EsmeSettings, Summary, percentile
from tools.http_door import site
from tools.scripts import OPERATOR_WORDS, OperatorScript, read_rule
from tools.smsc_simulator import ID_FORMS, SmscSettings, SmscSimulator, Submit
from tools.terminal import Terminal, table
from tools.units import fraction, per_second, seconds
from tools.webhooks import Webhooks, http_get, http_post
from tools.whatsapp_simulator import CloudApiSimulator, Sent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `pombo simulate`."""
    kinds = parser.add_subparsers(dest="simulator", required=True, metavar="smsc|whatsapp|esme")
    _smsc_arguments(kinds.add_parser("smsc", help="an operator's SMSC"))
    whatsapp_options.add_arguments(kinds.add_parser("whatsapp", help="a WhatsApp provider"), os.environ)
    _esme_arguments(kinds.add_parser("esme", help="a billing system that submits"))


def _smsc_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", default="tcp:2776:interface=127.0.0.1", help="Twisted server endpoint (%(default)s)"
    )
    parser.add_argument("--system-id", default="", help="the only one that may bind (default: anybody)")
    parser.add_argument(
        "--password", default=os.environ.get("OPERATOR_PASSWORD", ""), help="default: $OPERATOR_PASSWORD"
    )
    parser.add_argument(
        "--resp-delay", type=seconds, default="20ms", metavar="T", help="before a submit_sm_resp (%(default)s)"
    )
    parser.add_argument(
        "--dlr-delay", type=seconds, default="300ms", metavar="T", help="before a receipt (%(default)s)"
    )
    parser.add_argument(
        "--throttle", type=fraction, default=0.0, metavar="SHARE", help="of submits answered ESME_RTHROTTLED"
    )
    parser.add_argument(
        "--rate", type=per_second, default=0.0, metavar="RATE", help="beyond it: ESME_RTHROTTLED, as 100/s"
    )
    parser.add_argument("--undeliv", type=fraction, default=0.0, metavar="SHARE", help="of messages that end UNDELIV")
    parser.add_argument(
        "--drop-answers", type=fraction, default=0.0, metavar="SHARE", help="of submits taken and never answered"
    )
    parser.add_argument("--no-receipts", action="store_true", help="no receipt ever")
    parser.add_argument("--ids", choices=ID_FORMS, default="dec", help="form of the message ids (%(default)s)")
    parser.add_argument(
        "--receipt-ids", choices=ID_FORMS, default=None, help="their form in receipts, where it differs"
    )
    parser.add_argument(
        "--script", action="append", default=[], type=lambda text: read_rule(text, OPERATOR_WORDS, OperatorScript()),
        metavar="NUMBER=WORDS", help=f"faults per number, joined by +: {' '.join(OPERATOR_WORDS)}",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="print totals only")


def _esme_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connect", default="tcp:127.0.0.1:2775", help="Twisted client endpoint (%(default)s)")
    parser.add_argument("--system-id", default="billing", help="the account (%(default)s)")
    parser.add_argument("--password", default=os.environ.get("BILLING_PASSWORD", ""), help="default: $BILLING_PASSWORD")
    parser.add_argument("--to", default="551198888....", help='a number; each "." becomes a random digit (%(default)s)')
    parser.add_argument("--from", dest="source", default="", help="source address (default: the account's)")
    parser.add_argument("--text", default="Pombo: mensagem de teste", help="in parts where it is long")
    parser.add_argument("--count", type=int, default=10, help="messages (%(default)s)")
    parser.add_argument(
        "--rate",
        type=per_second,
        default=0.0,
        metavar="RATE",
        help="submits, as 100/s (default: what the window allows)",
    )
    parser.add_argument("--window", type=int, default=10, help="unanswered submits (%(default)s)")
    parser.add_argument(
        "--registered-delivery", type=int, default=1, choices=(0, 1, 2, 3), help="receipts asked for (%(default)s)"
    )
    parser.add_argument(
        "--wait", type=seconds, default="60s", metavar="T", help="for receipts after the last answer (%(default)s)"
    )


def simulate(options: argparse.Namespace, terminal: Terminal) -> int:
    """Run one of the three; returns the exit status."""
    from twisted.internet import reactor as default

    reactor: Any = default

    runners: dict[str, Callable[[argparse.Namespace, Terminal, Any], Deferred[int]]] = {
        "smsc": run_smsc,
        "whatsapp": run_whatsapp,
        "esme": run_esme,
    }
    statuses: list[int] = []

    def ended(status: Any) -> None:
        statuses.append(status if isinstance(status, int) else 2)
        if not isinstance(status, int):
            print(f"pombo: {status.getErrorMessage()}", file=sys.stderr)
        if reactor.running:
            reactor.stop()

    def begin() -> None:
        maybeDeferred(runners[options.simulator], options, terminal, reactor).addBoth(ended)

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else 0


def run_smsc(options: argparse.Namespace, terminal: Terminal, reactor: Any) -> Deferred[int]:
    """Listen until the process is stopped; totals at the end."""
    settings = SmscSettings(
        system_id=options.system_id,
        password=options.password,
        answer_after_s=options.resp_delay,
        receipt_after_s=options.dlr_delay,
        throttle=options.throttle,
        rate=options.rate,
        undeliv=options.undeliv,
        dropped=options.drop_answers,
        receipts=not options.no_receipts,
        ids=options.ids,
        receipt_ids=options.receipt_ids or "",
    )

    def told(what: str, submit: Submit) -> None:
        if not options.quiet:
            result = f"0x{submit.status:02X}" if submit.status else f"id {ID_FORMS[options.ids](submit.number)}"
            way = f"{submit.source:<12} {terminal.arrow} {submit.dest:<16}"
            terminal.line(f"{what:<16} {way} {len(submit.user_data):>4} octets  {result}")

    def totals() -> None:
        receipts = ", ".join(f"{stat} {n}" for stat, n in sorted(smsc.receipts.items())) or "none"
        terminal.line(
            f"{len(smsc.submits)} submits, at most {smsc.peak_rate} in a second; receipts acknowledged: {receipts}"
        )

    # numbers never repeat over restarts, as an operator's never do
    smsc = SmscSimulator(settings, reactor, watch=told, first_number=int(reactor.seconds() * 10))
    for pattern, script in options.script:
        smsc.scripts.set(pattern, script)
    return _serve(options.listen, smsc, f"operator's SMSC on {options.listen}", totals, terminal, reactor)


def run_whatsapp(options: argparse.Namespace, terminal: Terminal, reactor: Any) -> Deferred[int]:
    """Listen until the process is stopped; totals at the end."""

    def told(what: str, sent: Sent) -> None:
        if not options.quiet:
            terminal.line(f"{what:<10} {sent.person:<16} {len(sent.text):>4} characters  {sent.message_id}".rstrip())

    def totals() -> None:
        answers = ", ".join(f"{status or 'none'} {n}" for status, n in sorted(webhooks.answers.items())) or "none"
        terminal.line(
            f"{len(provider.lookups)} numbers asked, {len(provider.sends)} sends; answers to webhooks: {answers}"
        )

    webhooks = Webhooks(http_post(reactor), reactor, url=options.webhook)
    provider = whatsapp_options.provider_of(options, os.environ, reactor, webhooks, told)
    if isinstance(provider, CloudApiSimulator) and options.webhook and options.verify_token:
        subscribed = Deferred.fromCoroutine(provider.subscribe(http_get(reactor)))
        subscribed.addCallback(lambda well: terminal.line(f"webhook's challenge: {'answered' if well else 'failed'}"))
    name = f"WhatsApp provider ({options.provider}) on {options.listen}"
    return _serve(options.listen, site(provider.answer), name, totals, terminal, reactor)


def _serve(
    listen: str, factory: Any, name: str, totals: Callable[[], None], terminal: Terminal, reactor: Any
) -> Deferred[int]:
    """Listens; the Deferred only fires when that fails."""
    reactor.addSystemEventTrigger("before", "shutdown", totals)
    twisted: Any = endpoints  # carries no types
    listening: Deferred[Any] = twisted.serverFromString(reactor, listen).listen(factory)
    listening.addCallback(lambda port: terminal.line(f"{name}; stop it with Ctrl-C"))
    return listening.addCallback(lambda _: Deferred())


def run_esme(options: argparse.Namespace, terminal: Terminal, reactor: Any) -> Deferred[int]:
    """Submit, wait for receipts, print the summary; 0 when all came exactly once, 1 when not."""
    settings = EsmeSettings(
        system_id=options.system_id,
        password=options.password,
        to=options.to,
        text=options.text,
        source=options.source,
        count=options.count,
        rate=options.rate,
        window=options.window,
        registered_delivery=options.registered_delivery,
        receipts_s=options.wait,
    )

    def watch(summary: Summary) -> None:
        answered, receipts = sum(summary.answers.values()), sum(summary.receipts.values())
        terminal.region([f"submitted {summary.submitted}  answered {answered}  receipts {receipts}"])

    esme = Esme(settings, reactor, rng=random.Random(), watch=watch)
    twisted: Any = endpoints  # carries no types
    connected: Deferred[Any] = twisted.connectProtocol(twisted.clientFromString(reactor, options.connect), esme)
    return connected.addCallback(lambda _: esme.done).addCallback(_summarised, terminal)


def status_name(status: int) -> str:
    """A command_status by its name in SMPP 3.4, 5.1.3, and as a number."""
    try:
        return f"{CommandStatus(status).name} 0x{status:02X}"
    except ValueError:
        return f"0x{status:08X}"


def _summarised(summary: Summary, terminal: Terminal) -> int:
    terminal.region([])
    if not summary.bound:
        why = (
            f"refused: {status_name(summary.bind_status)}"
            if summary.bind_status
            else "ended before the bind was answered"
        )
        terminal.line(terminal.paint(f"bind {why}", "red"))
        return 1
    span_s = max(summary.ended_at - summary.began_at, 1e-9)
    rows = [
        ("submitted", str(summary.submitted)),
        *((f"answered {status_name(status)}", str(n)) for status, n in sorted(summary.answers.items())),
        ("unanswered", str(summary.unanswered)),
        *((f"receipts {stat}", str(n)) for stat, n in sorted(summary.receipts.items())),
        ("receipts missing", str(summary.missing)),
        ("receipts twice", str(summary.duplicates)),
        ("receipts of unknown ids", str(summary.unknown)),
        ("texts received", str(summary.texts)),
        (
            "answer p50 / p99",
            f"{percentile(summary.answer_s, 0.5) * 1000:.1f} / {percentile(summary.answer_s, 0.99) * 1000:.1f} ms",
        ),
        (
            "receipt p50 / p99",
            f"{percentile(summary.receipt_s, 0.5):.2f} / {percentile(summary.receipt_s, 0.99):.2f} s",
        ),
        ("time", f"{span_s:.1f} s"),
    ]
    for line in table(("", ""), rows, frozenset({1}))[1:]:
        terminal.line(line)
    return 0 if summary.complete else 1
