"""Keys that are read and checked but change nothing, so that the gateway can say so when it starts.

One row per key: where it stands, when it counts as set, and why it has no effect. Rows marked "in this version" go away
when the feature is built; the others are settings that do not apply where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from config.schema import AccountSettings, BridgeSettings, Config, Settings
from config.secrets import argon2id_works

LONG_TOKEN = 16  # characters


class Row(Struct, frozen=True):
    """A key without effect. `idle` gets the settings the key belongs to."""

    key: str
    idle: Callable[[Any], bool]
    because: str


def _account_argon2(account: AccountSettings) -> bool:
    form = account.password_hash
    return form is not None and form.get_secret_value().startswith("$argon2") and not argon2id_works()


def _not_cloud_api(key: str) -> Callable[[BridgeSettings], bool]:
    """Set, on a provider that has no use for it."""
    return lambda bridge: bridge.provider != "cloud_api" and bool(getattr(bridge, key))


def _of_360dialog(key: str) -> Callable[[BridgeSettings], bool]:
    return lambda bridge: bridge.resold and getattr(bridge, key) is not None


def _lookup_on_cloud_api(key: str) -> Callable[[BridgeSettings], bool]:
    return lambda bridge: bridge.provider == "cloud_api" and key in bridge.lookup.model_fields_set


ACCOUNTS: tuple[Row, ...] = (
    Row("password_hash", _account_argon2, "argon2id needs OpenSSL 3.2 or later; nobody can bind to this account"),
)
SMSC: tuple[Row, ...] = ()
BRIDGE: tuple[Row, ...] = (
    Row(
        "delete_before_sms",
        lambda bridge: bridge.provider == "cloud_api" and bridge.delete_before_sms,
        "cloud_api deletes nothing; give its templates a ttl",
    ),
    Row("templates", _not_cloud_api("templates"), "templates apply to cloud_api only"),
    Row("direct_send", _not_cloud_api("direct_send"), "it applies to cloud_api only"),
    Row("app_secret", _not_cloud_api("app_secret"), "it applies to cloud_api only; others have webhook_secret"),
    Row("verify_token", _not_cloud_api("verify_token"), "it applies to cloud_api only"),
    Row(
        "webhook_secret",
        lambda bridge: bridge.provider == "cloud_api" and not bridge.resold and bridge.webhook_secret is not None,
        "cloud_api signs its webhooks with app_secret",
    ),
    Row("app_secret", _of_360dialog("app_secret"), "360dialog signs nothing; its webhooks have webhook_secret"),
    Row("verify_token", _of_360dialog("verify_token"), "360dialog does not ask"),
    Row(
        "business_account",
        lambda bridge: bridge.provider not in ("cloud_api", "evolution") and bool(bridge.business_account),
        "it applies to services that know Meta's errors: cloud_api, and evolution over it",
    ),
    Row("lookup.enabled", _lookup_on_cloud_api("enabled"), "cloud_api cannot be asked"),
    Row("lookup.deadline", _lookup_on_cloud_api("deadline"), "cloud_api cannot be asked"),
    Row("lookup.budget", _lookup_on_cloud_api("budget"), "cloud_api cannot be asked"),
)
TOP: tuple[Row, ...] = (
    Row(
        "store.fsync",
        lambda config: config.store.url != "embedded" and "fsync" in config.store.model_fields_set,
        "it applies to the embedded store only; an own one keeps to its appendonly and appendfsync",
    ),
)


def without_effect(config: Config) -> list[str]:
    """One sentence for every key that is set and changes nothing; to be logged at start and after a reload."""
    return [
        f"{place}{row.key} has no effect: {row.because}"
        for place, settings, rows in _places(config)
        for row in rows
        if row.idle(settings)
    ]


def without_fallback(config: Config) -> list[str]:
    """One sentence for every route over WhatsApp alone that does not say that this is meant."""
    whatsapp = {bridge.name for bridge in config.bridge}
    return [
        f"routes[{index}]: {route.name} has WhatsApp only: whoever has no account gets nothing; add an operator's "
        "channel, or say that this is meant with fallback: none"
        for index, route in enumerate(config.routes)
        if route.fallback != "none" and whatsapp.issuperset(route.channels)
    ]


def guessable(config: Config) -> list[str]:
    """A sentence where the admin token is so short that trying helps: the right one is always let in."""
    token = config.http.admin_token
    if token is None or len(token.get_secret_value()) >= LONG_TOKEN:
        return []
    return [f"http.admin_token has fewer than {LONG_TOKEN} characters and can be guessed: write one that "
            "`openssl rand -base64 24` makes, for instance"]  # fmt: skip


def _places(config: Config) -> Iterator[tuple[str, Settings, tuple[Row, ...]]]:
    yield "", config, TOP
    for index, account in enumerate(config.smpp_server.accounts):
        yield f"smpp_server.accounts[{index}].", account, ACCOUNTS
    for index, smsc in enumerate(config.smsc_client):
        yield f"smsc_client[{index}].", smsc, SMSC
    for index, bridge in enumerate(config.bridge):
        yield f"bridge[{index}].", bridge, BRIDGE
        for place, (sender, own) in enumerate(zip(bridge.senders, bridge.apart().values(), strict=False)):
            rows = tuple(row for row in BRIDGE if row.key in sender.model_fields_set)
            yield f"bridge[{index}].senders[{place}].", own, rows
