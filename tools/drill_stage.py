"""The stage of the drill: a store of three servers under three sentinels, two gateways, an operator and a provider."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from twisted.internet import endpoints
from twisted.internet.threads import deferToThread

from tools.demo_stage import CHECKOUT, short_directory
from tools.http_door import site
from tools.node import Node, NodeError
from tools.ports import free_port
from tools.smsc_simulator import SmscSettings, SmscSimulator
from tools.store_group import StoreGroup
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import EvolutionSettings, EvolutionSimulator

RATE = 60  # segments per second that the operator allows, over both nodes
STOP_S = 15.0


class Gateway:
    """One node as a process."""

    def __init__(self, name: str, directory: Path, token: str) -> None:
        self.name, self.smpp_port, self.http_port = name, free_port(), free_port()
        self.node = Node(f"http://127.0.0.1:{self.http_port}", token)
        self._config, self.log_path = directory / f"{name}.yaml", directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, settings: dict[str, Any]) -> None:
        self._config.touch(mode=0o600)
        self._config.write_text(yaml.safe_dump(settings, sort_keys=False))

    def start(self) -> None:
        environ = {**os.environ, "POMBO_CONFIG": str(self._config), "PYTHONUNBUFFERED": "1"}
        twistd = Path(sys.executable).parent / "twistd"
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [str(twistd), "-ny", str(CHECKOUT / "twistd.tac"), "--pidfile="],
                cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int | None:
        """Ask it to stop; its exit status, None when it had to be killed."""
        if self._process is None or self._process.poll() is not None:
            return None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def log(self) -> str:
        try:
            return self.log_path.read_text("utf-8", "replace")
        except OSError:
            return ""

    def ready(self) -> bool:
        try:
            return self.node.ready()
        except NodeError:
            return False

    def up(self) -> bool:
        """Are all its channels up?"""
        try:
            return self.ready() and all(channel["up"] for channel in self.node.status()["channels"])
        except NodeError:
            return False


class DrillStage:
    """Everything the drill runs on. `close` leaves nothing behind but, after a failure, the logs."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.directory = short_directory()
        self.password, self._operator_password = secrets.token_hex(4), secrets.token_hex(4)
        self._token, self._key = secrets.token_hex(16), secrets.token_hex(16)
        self.store = StoreGroup(self.directory, replicas=2, sentinels=3, password=secrets.token_hex(8))
        self.gateways = [Gateway(name, self.directory, self._token) for name in ("gw1", "gw2")]
        self.operator = SmscSimulator(
            SmscSettings(system_id="pombo", password=self._operator_password, ids="hex"), reactor
        )
        webhooks = Webhooks(http_post(reactor), reactor, first_gap_s=0.3)
        self.provider = EvolutionSimulator(EvolutionSettings(key=self._key, share=0.5), reactor, webhooks)
        self._ports: list[Any] = []

    async def open(self) -> None:
        """Store, operator and provider."""
        twisted: Any = endpoints
        await deferToThread(self.store.start)
        for factory in (self.operator, site(self.provider.answer)):
            endpoint = twisted.TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1")
            self._ports.append(await endpoint.listen(factory))
        for gateway in self.gateways:
            gateway.configure(self.configuration(gateway))

    def webhooks_to(self, gateway: Gateway) -> None:
        """What a load balancer in front of both nodes does."""
        self.provider.webhooks.url = f"{gateway.node.url}/webhooks/zap"

    def configuration(self, gateway: Gateway) -> dict[str, Any]:
        """Both nodes have the same but for `node` and, on one machine, the ports."""
        operator_port, provider_port = (port.getHost().port for port in self._ports)
        return {
            "node": gateway.name,
            "country": "BR",
            "store": {"url": self.store.url, "replicas": 1},
            "smpp_server": {
                "listen": [f"tcp:{gateway.smpp_port}:interface=127.0.0.1"],
                "accounts": [{"system_id": "billing", "password": self.password, "sources": ["28940"]}],
            },
            "smsc_client": [
                {
                    "name": "operator", "connect": f"tcp:127.0.0.1:{operator_port}", "system_id": "pombo",
                    "password": self._operator_password, "throughput": f"{RATE}/s",
                    "reconnect": {"initial": "200ms", "max": "1s"},
                }
            ],
            "bridge": [
                {
                    "name": "zap", "provider": "evolution", "url": f"http://127.0.0.1:{provider_port}",
                    "api_key": self._key, "instance": "main", "throughput": "200/s", "timeout": "3s",
                    "lookup": {"deadline": "1s", "budget": "60000/m"},
                }
            ],
            "routes": [{"name": "default", "channels": ["zap", "operator"], "fallback_after": "8s"}],
            "http": {"listen": [f"tcp:{gateway.http_port}:interface=127.0.0.1"], "admin_token": self._token},
        }  # fmt: skip

    async def close(self, keep: bool = False) -> None:
        """Take everything down; remove the directory unless `keep`."""
        self.provider.webhooks.url = ""
        for gateway in self.gateways:
            await deferToThread(gateway.terminate)
        await deferToThread(self.store.stop)
        for port in self._ports:
            await port.stopListening()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)
