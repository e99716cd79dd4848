"""The stage of the demo: simulators on free ports, a configuration for them, the gateway as a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from twisted.internet import endpoints
from twisted.internet.threads import deferToThread

from gateway.store.embedded import socket_path
from tools.clock import pause
from tools.demo_cast import PATIENCE_S, direct
from tools.http_door import site
from tools.node import Node, NodeError
from tools.ports import free_port
from tools.smsc_simulator import SmscSettings, SmscSimulator
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import EvolutionSettings, EvolutionSimulator, WhatsAppProvider

CHECKOUT = Path(__file__).resolve().parent.parent
PRICE, CURRENCY = "0.08", "BRL"
START_S, STOP_S = 30.0, 10.0
LOG_LINES = 25


class StageError(Exception):
    """The demo cannot go on; the text is for the person who watches."""


def short_directory() -> Path:
    """A temporary directory whose path leaves room for a unix socket's (107 octets on Linux, 103 on macOS)."""
    place = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix="pombo-demo-", dir=place))


class Stage:
    """Everything the demo runs on. `close` leaves nothing behind but, after a failure, the gateway's log."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.directory = short_directory()
        self.smpp_port, self.http_port = free_port(), free_port()
        self.password, self._operator_password = secrets.token_hex(4), secrets.token_hex(4)
        self._token, key = secrets.token_hex(16), secrets.token_hex(16)
        self.node = Node(f"http://127.0.0.1:{self.http_port}", self._token)
        self.operator = SmscSimulator(
            SmscSettings(system_id="pombo", password=self._operator_password, name="OPERATOR", ids="hex"), reactor
        )
        webhooks = Webhooks(http_post(reactor), reactor, url=f"{self.node.url}/webhooks/zap", first_gap_s=0.5)
        self.provider: WhatsAppProvider = EvolutionSimulator(EvolutionSettings(key=key), reactor, webhooks)
        self._key = key
        self._ports: list[Any] = []
        self._gateway: subprocess.Popen[bytes] | None = None
        direct(self.provider, self.operator)

    async def open_simulators(self) -> None:
        """Operator and WhatsApp provider listen."""
        twisted: Any = endpoints  # carries no types
        for factory in (self.operator, site(self.provider.answer)):
            endpoint = twisted.TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1")
            self._ports.append(await endpoint.listen(factory))

    def configuration(self) -> dict[str, Any]:
        """The gateway's configuration, as it would stand in config/pombo.yaml."""
        operator_port, provider_port = (port.getHost().port for port in self._ports)
        return {
            "node": "demo",
            "currency": CURRENCY,
            "country": "BR",
            "store": {"url": "embedded", "directory": str(self.directory / "store"), "fsync": "always"},
            "smpp_server": {
                "listen": [f"tcp:{self.smpp_port}:interface=127.0.0.1"],
                "accounts": [{"system_id": "billing", "password": self.password, "sources": ["28940"]}],
            },
            "smsc_client": [
                {
                    "name": "operator",
                    "connect": f"tcp:127.0.0.1:{operator_port}",
                    "system_id": "pombo",
                    "password": self._operator_password,
                    "bind": "transceiver",
                    "price": PRICE,
                }
            ],
            "bridge": [
                {
                    "name": "zap",
                    "provider": "evolution",
                    "url": f"http://127.0.0.1:{provider_port}",
                    "api_key": self._key,
                    "instance": "main",
                    "price": "0.00",
                    "timeout": "2s",
                    "lookup": {"deadline": "1s"},
                }
            ],
            "routes": [{"name": "default", "channels": ["zap", "operator"], "fallback_after": f"{PATIENCE_S:g}s"}],
            "http": {
                "listen": [f"tcp:{self.http_port}:interface=127.0.0.1"],
                "admin_token": self._token,
            },
        }

    async def start_gateway(self) -> None:
        """Start the gateway and wait until it is ready and both channels are up. StageError when that fails."""
        path = self.directory / "pombo.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(self.configuration(), sort_keys=False, allow_unicode=True))
        environ = {**os.environ, "POMBO_CONFIG": str(path), "PYTHONUNBUFFERED": "1"}
        twistd = Path(sys.executable).parent / "twistd"
        with open(self.directory / "gateway.log", "wb") as log:
            self._gateway = subprocess.Popen(
                [str(twistd), "-ny", str(CHECKOUT / "twistd.tac"), "--pidfile="],
                cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        await self._until(self._ready, "the gateway is not ready")
        await self._until(self._channels_up, "not every channel is up")

    async def _until(self, question: Any, trouble: str) -> None:
        end = self._reactor.seconds() + START_S
        while True:
            try:
                if await deferToThread(question):
                    return
            except NodeError:
                pass
            if self._gateway is not None and self._gateway.poll() is not None:
                raise StageError(f"the gateway ended with status {self._gateway.returncode}\n{self.log_tail()}")
            if self._reactor.seconds() > end:
                raise StageError(f"{trouble} after {START_S:g} s\n{self.log_tail()}")
            await pause(self._reactor, 0.05)

    def _ready(self) -> bool:
        return self.node.ready()

    def _channels_up(self) -> bool:
        return all(channel["up"] for channel in self.node.status()["channels"])

    @property
    def alive(self) -> bool:
        """The gateway runs."""
        return self._gateway is not None and self._gateway.poll() is None

    def log_tail(self) -> str:
        """The end of the gateway's log."""
        try:
            lines = (self.directory / "gateway.log").read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join(["--- end of the gateway's log ---", *lines[-LOG_LINES:]])

    async def close(self, keep: bool = False) -> None:
        """Stop the gateway, then the simulators; remove the directory, unless `keep`."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None and gateway.poll() is None:
            gateway.send_signal(signal.SIGTERM)
            try:
                await deferToThread(gateway.wait, STOP_S)
            except subprocess.TimeoutExpired:
                gateway.kill()
                gateway.wait()
        await deferToThread(_end_store, str(self.directory / "store"))
        ports, self._ports = self._ports, []
        for port in ports:
            await port.stopListening()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)


def _end_store(directory: str) -> None:
    """A store that outlived a killed gateway is told to end."""
    import valkey

    path = socket_path(directory)
    if not os.path.exists(path):
        return
    try:
        valkey.Valkey(unix_socket_path=path, socket_timeout=2).shutdown(nosave=True)
    except (valkey.ValkeyError, OSError):
        return
