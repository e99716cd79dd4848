"""What a test plays on: an operator, a WhatsApp provider and billing systems around a real gateway process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet import endpoints
from twisted.internet.threads import deferToThread

from tests.end_to_end.biller import Biller
from tests.end_to_end.node import STOP_S, GatewayProcess
from tools.clock import pause
from tools.http_door import site
from tools.node import Node, NodeError
from tools.ports import free_port
from tools.smsc_simulator import SmscSettings, SmscSimulator
from tools.webhooks import Webhooks, http_post
from tools.whatsapp_simulator import EvolutionSettings, EvolutionSimulator, WhatsAppProvider

START_S = 20.0
LOOK_S = 0.02
LOG_LINES = 60
PASSWORD, OPERATOR_PASSWORD = "s3cr3tpw", "0p3r4tor"
TOKEN, KEY = "adm1n-t0k3n-of-this-test", "pr0v1der-k3y-of-this-test"


class Stage:
    """One test's world. Change `settings` before `start`; `close` leaves nothing behind."""

    def __init__(self, reactor: Any, *, smsc: SmscSettings | None = None, whatsapp: EvolutionSettings | None = None):
        self.reactor = reactor
        self.directory = Path(tempfile.mkdtemp(prefix="pombo-e2e-", dir="/tmp" if os.access("/tmp", os.W_OK) else None))
        self.gateway = GatewayProcess(self.directory)
        self.smpp_port, self.http_port = free_port(), free_port()
        self.node = Node(f"http://127.0.0.1:{self.http_port}", TOKEN)
        self.operator = SmscSimulator(
            smsc or SmscSettings(system_id="pombo", password=OPERATOR_PASSWORD, ids="hex"), reactor
        )
        webhooks = Webhooks(http_post(reactor), reactor, url=f"{self.node.url}/webhooks/zap", first_gap_s=0.2)
        self.provider: WhatsAppProvider = EvolutionSimulator(whatsapp or EvolutionSettings(key=KEY), reactor, webhooks)
        self.billers: list[Biller] = []
        self._ports: dict[str, Any] = {}
        self.operator_port, self.provider_port = free_port(), free_port()
        self.settings = self._settings()

    def _settings(self) -> dict[str, Any]:
        """The configuration, to be changed by the test before the start."""
        return {
            "node": "e2e",
            "currency": "BRL",
            "country": "BR",
            "store": {"url": "embedded", "directory": str(self.gateway.store_directory), "fsync": "always"},
            "smpp_server": {
                "listen": [f"tcp:{self.smpp_port}:interface=127.0.0.1"],
                "parts_timeout": "1s",
                "accounts": [
                    {
                        "system_id": "billing", "password": PASSWORD, "sources": ["28940"], "default_source": "28940",
                        "throughput": "5000/s",
                    }
                ],
            },
            "smsc_client": [
                {
                    "name": "operator", "connect": f"tcp:127.0.0.1:{self.operator_port}", "system_id": "pombo",
                    "password": OPERATOR_PASSWORD, "throughput": "500/s", "price": "0.08",
                    "reconnect": {"initial": "200ms", "max": "1s"},
                }
            ],
            "bridge": [
                {
                    "name": "zap", "provider": "evolution", "url": f"http://127.0.0.1:{self.provider_port}",
                    "api_key": KEY, "instance": "main", "throughput": "200/s", "timeout": "3s", "price": "0.00",
                    "lookup": {"deadline": "2s", "budget": "60000/m"},
                }
            ],
            "routes": [{"name": "default", "channels": ["zap", "operator"], "fallback_after": "6s"}],
            "http": {"listen": [f"tcp:{self.http_port}:interface=127.0.0.1"], "admin_token": TOKEN},
            "log": {"level": "info"},
        }  # fmt: skip

    # -- the outside

    async def open_operator(self) -> None:
        await self._listen("operator", self.operator, self.operator_port)

    async def open_provider(self) -> None:
        await self._listen("provider", site(self.provider.answer), self.provider_port)

    async def _listen(self, name: str, factory: Any, port: int) -> None:
        twisted: Any = endpoints  # carries no types
        endpoint = twisted.TCP4ServerEndpoint(self.reactor, port, interface="127.0.0.1")
        self._ports[name] = await endpoint.listen(factory)

    async def bind(
        self, bind: str = "transceiver", *, system_id: str = "billing", password: str = PASSWORD, status: int = 0
    ) -> Biller:
        """A billing system that was answered with `status` to its bind."""
        biller = await self.connect(bind, system_id=system_id, password=password)
        assert await biller.bound == status
        return biller

    async def connect(
        self, bind: str = "transceiver", *, system_id: str = "billing", password: str = PASSWORD
    ) -> Biller:
        biller = Biller(self.reactor, system_id, password, bind)
        twisted: Any = endpoints
        await twisted.connectProtocol(
            twisted.TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.smpp_port, timeout=5), biller
        )
        self.billers.append(biller)
        return biller

    # -- the gateway

    async def start(self, channels_up: bool = True) -> None:
        """Start (or start again) the gateway; ready when this returns, with its channels up."""
        self.gateway.configure(self.settings)
        self.gateway.start()
        await self.until(self._ready, "the gateway is ready", START_S)
        self.gateway.find_store()
        if channels_up:
            await self.until(self._channels_up, "all channels are up", START_S)

    async def stop(self) -> int:
        """Stop the gateway politely; its exit status."""
        self.gateway.terminate()
        await self.until(lambda: not self.gateway.alive, "the gateway stops", STOP_S)
        status = self.gateway.status
        assert status is not None
        return status

    async def _ready(self) -> bool:
        assert self.gateway.alive, f"the gateway ended with status {self.gateway.status}\n{self.gateway.log()[-3000:]}"
        return (await self.ask("GET", "/readyz"))[0] == 200

    async def _channels_up(self) -> bool:
        status = await self.status()
        return bool(status) and all(channel["up"] for channel in status["channels"])

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        """(HTTP status, body); status 0 when there is no answer."""
        try:
            answer: tuple[int, Any] = await deferToThread(self.node.ask, method, path, **arguments)
        except NodeError:
            return 0, None
        return answer

    async def status(self) -> dict[str, Any]:
        """GET /admin/status; empty when there is no answer."""
        code, body = await self.ask("GET", "/admin/status")
        return body if code == 200 else {}

    async def channel(self, name: str) -> dict[str, Any]:
        return next(c for c in (await self.status())["channels"] if c["name"] == name)

    async def messages(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """What the admin part says of these messages; every one must be known."""
        wanted = list(ids)
        found = await deferToThread(lambda: [self.node.message(one) for one in wanted])
        known = [message for message in found if message is not None]
        assert len(known) == len(wanted)
        return known

    async def message(self, message_id: str) -> dict[str, Any]:
        return (await self.messages([message_id]))[0]

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels."""
        _, page = await self.ask("GET", "/metrics")
        lines = [line for line in page.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    # -- waiting

    async def until(self, question: Callable[[], Any], what: str, patience_s: float = 10.0) -> None:
        """Look again and again (these are real processes) until the question is answered with yes.

        Patience is counted in looks: a machine that stood still for a while has not tried its gateway's.
        """
        for _ in range(int(patience_s / LOOK_S) + 1):
            answer = question()
            if hasattr(answer, "__await__"):
                answer = await answer
            if answer:
                return
            await pause(self.reactor, LOOK_S)
        log = "\n".join(self.gateway.log().splitlines()[-LOG_LINES:])
        raise AssertionError(f"not within {patience_s:g} s: {what}\n--- end of the gateway's log ---\n{log}")

    async def stays(self, question: Callable[[], Any], what: str, for_s: float) -> None:
        """The answer must be yes for as long as that."""
        end = self.reactor.seconds() + for_s
        while self.reactor.seconds() < end:
            assert question(), what
            await pause(self.reactor, LOOK_S)

    # -- the end

    async def close(self) -> None:
        for biller in self.billers:
            if not biller.closed and biller.transport is not None:
                biller.transport.abortConnection()
        if self.gateway.alive:
            self.gateway.terminate()
            try:
                await self.until(lambda: not self.gateway.alive, "the gateway stops", STOP_S)
            finally:
                self.gateway.clean_up()
        await deferToThread(self.gateway.clean_up)
        self.provider.webhooks.url = ""
        self.operator.stop()
        for port in self._ports.values():
            await port.stopListening()
        shutil.rmtree(self.directory, ignore_errors=True)
