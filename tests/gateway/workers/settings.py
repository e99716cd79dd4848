"""Settings of channels, as a configuration has them."""

from __future__ import annotations

from typing import Any

from config.schema import BridgeSettings, SmscSettings


def smsc(**fields: Any) -> SmscSettings:
    usual = {"name": "operator", "connect": "tcp:127.0.0.1:2776", "system_id": "pombo", "password": "x"}
    return SmscSettings.model_validate({**usual, **fields})


def bridge(**fields: Any) -> BridgeSettings:
    usual = {"name": "zap", "provider": "evolution", "url": "http://127.0.0.1:1", "api_key": "x", "instance": "main"}
    return BridgeSettings.model_validate({**usual, **fields})
