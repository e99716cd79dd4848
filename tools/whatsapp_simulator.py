"""WhatsApp providers for the laboratory, by the name they have in the configuration.

    pombo simulate whatsapp --provider waha --listen tcp:3000:interface=127.0.0.1 --account 5511988880001 \
        --webhook http://127.0.0.1:8081/webhooks/zap

What each says and where it errs is as in the real one; see its file. What they have in common: tools.whatsapp_provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from tools.cloud_api_simulator import CloudApiSimulator, Dialog360Simulator
from tools.evolution_simulator import EvolutionSettings, EvolutionSimulator
from tools.waha_simulator import WahaSimulator
from tools.whatsapp_provider import ProviderSettings, Sent, WhatsAppProvider
from tools.wppconnect_simulator import WppconnectSimulator

__all__ = [
    "SIMULATORS",
    "CloudApiSimulator",
    "Dialog360Simulator",
    "EvolutionSettings",
    "EvolutionSimulator",
    "ProviderSettings",
    "Sent",
    "WahaSimulator",
    "WhatsAppProvider",
    "WppconnectSimulator",
]

SIMULATORS: Mapping[str, type[WhatsAppProvider]] = {
    "evolution": EvolutionSimulator,
    "waha": WahaSimulator,
    "wppconnect": WppconnectSimulator,
    "cloud_api": CloudApiSimulator,
}
