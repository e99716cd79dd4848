"""The WhatsApp services Pombo speaks to, by the name they have in the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.provider import Keyed, Provider
from bridge.providers.cloud_api import CloudApi
from bridge.providers.evolution import Evolution
from bridge.providers.waha import Waha
from bridge.providers.wppconnect import Wppconnect

if TYPE_CHECKING:
    from config.schema import BridgeSettings

PROVIDERS: dict[str, Callable[[BridgeSettings], Provider]] = {
    "evolution": Evolution.of,
    "cloud_api": CloudApi.of,
    "waha": Waha.of,
    "wppconnect": Wppconnect.of,
}


def provider_of(settings: BridgeSettings) -> Provider:
    """The adapter of a bridge entry. KeyError for a service that is not listed above."""
    return PROVIDERS[settings.provider](settings)


def key_of(settings: BridgeSettings) -> Callable[[str], str] | None:
    """What tells, by our id of a message, under which of its own ids a channel's service has it; None where the service
    chooses that by itself."""
    first = provider_of(next(iter(settings.apart().values())))
    return first.key_of if isinstance(first, Keyed) else None
