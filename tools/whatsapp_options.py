"""What `pombo simulate whatsapp` may be told, and the provider that it describes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from tools.clock import Clock
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_rule
from tools.units import fraction, per_second, seconds
from tools.webhooks import Webhooks
from tools.whatsapp_simulator import SIMULATORS, ProviderSettings, Sent, WhatsAppProvider


def add_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """The options; environ: where secrets may come from."""
    parser.add_argument(
        "--provider", choices=tuple(SIMULATORS), default="evolution", help="whose API it speaks (%(default)s)"
    )
    parser.add_argument(
        "--listen", default="tcp:8080:interface=127.0.0.1", help="Twisted server endpoint (%(default)s)"
    )
    parser.add_argument("--key", default=environ.get("ZAP_KEY", ""), help="the API key (default: $ZAP_KEY)")
    parser.add_argument(
        "--instance", default="main", help="name of the instance or session, or the phone number id (%(default)s)"
    )
    parser.add_argument(
        "--webhook", default="", metavar="URL", help="where events go, such as http://127.0.0.1:8081/webhooks/zap"
    )
    parser.add_argument(
        "--webhook-secret",
        "--jwt-key",
        dest="webhook_secret",
        default=None,
        metavar="SECRET",
        help="proves webhooks: an HMAC, a JWT or ?key=, as the API does (default: $ZAP_WEBHOOK_SECRET; cloud_api: "
        "$ZAP_APP_SECRET)",
    )
    parser.add_argument(
        "--verify-token",
        default=environ.get("ZAP_VERIFY", ""),
        metavar="TOKEN",
        help="cloud_api: the webhook is asked for its challenge with it (default: $ZAP_VERIFY)",
    )
    parser.add_argument("--direct-send", action="store_true", help="cloud_api: Direct Send is enabled")
    parser.add_argument(
        "--account", action="append", default=[], metavar="NUMBER[=IDENTITY]", help="somebody with an account"
    )
    parser.add_argument("--no-account", action="append", default=[], metavar="NUMBER", help="somebody without one")
    parser.add_argument(
        "--share", type=fraction, default=0.5, help="of all other people, how many have an account (%(default)s)"
    )
    parser.add_argument("--answer-delay", type=seconds, default="50ms", metavar="T", help="of sends (%(default)s)")
    parser.add_argument("--lookup-delay", type=seconds, default="30ms", metavar="T", help="of lookups (%(default)s)")
    parser.add_argument("--rate", type=per_second, default=0.0, metavar="RATE", help="sends beyond it: HTTP 429")
    parser.add_argument("--disconnected", action="store_true", help="the phone is logged out")
    parser.add_argument(
        "--script", action="append", default=[], type=lambda text: read_rule(text, WHATSAPP_WORDS, WhatsAppScript()),
        metavar="NUMBER=WORDS", help=f"faults per person (13 digits), joined by +: {' '.join(WHATSAPP_WORDS)}",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="print totals only")


def provider_of(
    options: argparse.Namespace,
    environ: Mapping[str, str],
    clock: Clock,
    webhooks: Webhooks,
    watch: Callable[[str, Sent], None] = lambda what, sent: None,
) -> WhatsAppProvider:
    """The simulator that the options describe. watch: told what happens to sends."""
    variable = "ZAP_APP_SECRET" if options.provider == "cloud_api" else "ZAP_WEBHOOK_SECRET"
    secret = environ.get(variable, "") if options.webhook_secret is None else options.webhook_secret
    settings = ProviderSettings(
        key=options.key,
        instance=options.instance,
        answer_after_s=options.answer_delay,
        lookup_after_s=options.lookup_delay,
        rate=options.rate,
        share=options.share,
        webhook_secret=secret,
        verify_token=options.verify_token,
        direct_send=options.direct_send,
    )
    provider = SIMULATORS[options.provider](settings, clock, webhooks, watch=watch)
    provider.connected = not options.disconnected
    for account in options.account:
        number, _, identity = account.partition("=")
        provider.people.add(number, identity)
    for number in options.no_account:
        provider.people.remove(number)
    for pattern, script in options.script:
        provider.scripts.set(pattern, script)
    return provider
