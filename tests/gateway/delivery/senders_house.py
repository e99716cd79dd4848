"""A house whose WhatsApp channel has several senders, each at a simulated provider of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from gateway.store.valkey import Store
from tests.bridge.simulated import OURS, Wire, Wires, settings_of, simulator_of
from tests.gateway.delivery.provider_house import ProviderHouse
from tools.people import person_of
from tools.whatsapp_simulator import WhatsAppProvider

DEFAULT_HEALTH = {"min_acks": 0, "quarantine": "30s"}


class SendersHouse(ProviderHouse):
    """`at`: the simulator of each sender, by its name."""

    def __init__(
        self, store: Store, api: str, *names: str, own: dict[str, dict[str, Any]] | None = None, **over: Any
    ) -> None:
        """own: more of one sender's configuration, by its name. over: of the channel's."""
        super().__init__(store, api)
        self.at: dict[str, WhatsAppProvider] = {
            name: simulator_of(api, self.clock, self._take, instance=name) for name in names
        }
        where = urlsplit(OURS[api]["url"])
        hosts = {name: f"{name}.{where.netloc}" for name in names}
        self.wires = {name: Wire(simulator, self.clock) for name, simulator in self.at.items()}
        senders = [
            {"instance": name, "url": where._replace(netloc=hosts[name]).geturl(), **(own or {}).get(name, {})}
            for name in names
        ]
        self.settings = settings_of(api, senders=senders, **{"health": DEFAULT_HEALTH, **over})
        self.open_channel(self.settings, Wires({hosts[name]: wire for name, wire in self.wires.items()}))

    @property
    def providers(self) -> Iterable[WhatsAppProvider]:
        return self.at.values()

    def sent_by(self, name: str) -> list[str]:
        """Whose texts this sender's provider took, in order."""
        return [sent.person for sent in self.at[name].sends if sent.message_id]

    def who(self, number: str) -> set[str]:
        """Which senders' providers took a text for this number."""
        return {name for name in self.at if person_of(number) in self.sent_by(name)}

    async def went(self, *numbers: str) -> list[str]:
        """Send a text to each, and wait until all are over."""
        ids = await self.send(*numbers)
        await self.ends(*ids)
        return ids
