"""The processes of a soak run: gateway with its store, operator and provider, each to be killed and to come back."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from typing import Any

import msgspec

from tools.demo_stage import CHECKOUT, short_directory
from tools.gateway_process import GatewayProcess
from tools.node import Node
from tools.ports import free_port

WINDOW = 100  # unanswered submit_sm: as many may die with the link to the operator
VICTIMS = ("gateway", "store", "both", "operator", "provider")
WORKER = "worker"  # one of several, whichever
FROZEN = "frozen"  # as a victim: the store stops answering without a word, and goes on later


class Plan(msgspec.Struct, frozen=True):
    """What to do to the gateway, and for how long. Shares are between 0 and 1."""

    rate: float = 400.0  # submits per second
    duration_s: float = 600.0
    kill_every_s: tuple[float, float] = (20.0, 60.0)
    victims: tuple[str, ...] = VICTIMS
    away_s: tuple[float, float] | None = None  # how long who was killed stays away; None: a second or so
    quiet_s: float = 5.0  # without a kill before the load ends
    validity_s: int = 180  # what died with a socket is held until then
    fallback_after_s: int = 30
    binds: int = 2
    whatsapp: float = 0.5  # share of people with an account
    operator_rate: float = 185.0  # segments per second; less than arrive, so that the channel is always at work
    limit: float = 1.0  # of operator_rate: beyond it the operator answers ESME_RTHROTTLED
    workers: int = 1  # processes of the gateway
    dropped: float = 0.01  # share of submit_sm that are taken and never answered
    seed: int = 0


class World:
    """`close` leaves neither process nor file behind."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.directory = short_directory()
        self.gateway = GatewayProcess(self.directory)
        self.gateway.workers = plan.workers
        self.smpp_port, self.http_port = free_port(), free_port()
        self._ports = {"operator": free_port(), "provider": free_port()}
        self.password, token, self._key = (secrets.token_hex(4) for _ in range(3))
        self.node = Node(f"http://127.0.0.1:{self.http_port}", token)
        self._peers: dict[str, subprocess.Popen[bytes]] = {}
        self._frozen = 0  # the process
        self.gateway.configure(self._configuration(token))

    def _configuration(self, token: str) -> dict[str, Any]:
        plan = self.plan
        return {
            "node": "soak",
            "store": {"url": "embedded", "directory": str(self.gateway.store_directory), "fsync": "always"},
            "smpp_server": {
                "listen": [f"tcp:{self.smpp_port}:interface=127.0.0.1"],
                "accounts": [
                    {
                        "system_id": "billing", "password": self.password, "default_source": "28940",
                        "throughput": "5000/s", "window": 500,
                    }
                ],
            },
            "smsc_client": [
                {
                    "name": "operator", "connect": f"tcp:127.0.0.1:{self._ports['operator']}", "system_id": "pombo",
                    "password": self.password, "throughput": f"{plan.operator_rate:g}/s", "window": WINDOW,
                    "binds": plan.workers, "response_timeout": "5s",
                    "reconnect": {"initial": "200ms", "max": "1s"}, "price": "0.08",
                }
            ],
            "bridge": [
                {
                    "name": "zap", "provider": "evolution", "url": f"http://127.0.0.1:{self._ports['provider']}",
                    "api_key": self._key, "instance": "main", "throughput": f"{plan.rate:g}/s", "timeout": "3s",
                    "price": "0.00", "lookup": {"deadline": "2s", "budget": "600000/m"},
                    "health": {"min_acks": 0.05, "window": "60s", "quarantine": "3s"},
                }
            ],
            "routes": [
                {"name": "default", "channels": ["zap", "operator"], "fallback_after": f"{plan.fallback_after_s}s"}
            ],
            "http": {"listen": [f"tcp:{self.http_port}:interface=127.0.0.1"], "admin_token": token},
            "log": {"level": "info"},
        }  # fmt: skip

    def journal(self, peer: str) -> str:
        """Where a peer writes what it does."""
        return str(self.directory / f"{peer}.journal")

    def start(self, who: str) -> None:
        """Begin a process that is not running; returns before it serves."""
        if who == "gateway":
            self.gateway.start()
            return
        if who == FROZEN:
            os.kill(self._frozen, signal.SIGCONT)
            return
        plan = self.plan
        environ = {**os.environ, "OPERATOR_PASSWORD": self.password, "ZAP_KEY": self._key}
        words = ["--port", str(self._ports[who]), "--journal", self.journal(who)]
        if who == "operator":
            words += ["--rate", f"{plan.operator_rate * plan.limit:g}/s", "--dropped", str(plan.dropped)]
        else:
            words += ["--webhook", f"{self.node.url}/webhooks/zap", "--share", str(plan.whatsapp)]
        with open(self.directory / f"{who}.log", "ab") as log:
            self._peers[who] = subprocess.Popen(
                [sys.executable, "-m", "tools.outside", who, *words],
                cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self, victim: str, which: float = 0.0) -> list[str]:
        """kill -9. Who has to be started again; a store and a worker are started by their gateway. which: of the
        workers, as a share of them."""
        if victim == WORKER:
            pids = self.gateway.worker_pids()
            if pids:
                self.gateway.kill_worker(pids[int(which * len(pids))])
            return []
        if victim in ("operator", "provider"):
            self._peers[victim].kill()
            self._peers[victim].wait()
            return [victim]
        if victim == FROZEN:
            self._frozen = self.gateway.freeze_store()
            return [victim]
        store = self.gateway.find_store()
        if victim in ("gateway", "both"):
            self.gateway.kill()
        if victim in ("store", "both") and store:
            self.gateway.kill_store()
        return [] if victim == "store" else ["gateway"]

    def peers_log(self) -> str:
        """What operator and provider complained of."""
        logs = [self.directory / f"{who}.log" for who in ("operator", "provider")]
        return "\n".join(log.read_text("utf-8", "replace") for log in logs if log.exists())

    def close(self) -> None:
        self.gateway.clean_up()
        for peer in self._peers.values():
            if peer.poll() is None:
                peer.kill()
                peer.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
