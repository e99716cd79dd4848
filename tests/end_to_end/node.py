"""The gateway as a process, by the name the tests know; what it logs is watched."""

from contextlib import suppress
from typing import Any

import yaml

from tests.log_watch import WATCH
from tools import gateway_process
from tools.gateway_process import CHECKOUT, STOP_S, store_pid
from tools.ports import free_port

__all__ = ["CHECKOUT", "STOP_S", "GatewayProcess", "free_port", "store_pid"]


class GatewayProcess(gateway_process.GatewayProcess):
    """One node in one directory."""

    def configure(self, configuration: dict[str, Any] | str) -> None:
        super().configure(configuration)
        with suppress(yaml.YAMLError):  # a file that is meant to be broken
            WATCH.configured(yaml.safe_load(self.config_path.read_text()))

    def clean_up(self) -> None:
        super().clean_up()
        WATCH.process(self.log())
