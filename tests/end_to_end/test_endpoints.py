"""Every kind of endpoint that the documentation names, between real processes: listeners and operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import endpoints
from twisted.internet.protocol import Factory

from tests.end_to_end.biller import Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import OPERATOR_PASSWORD, PASSWORD, Stage
from tools.certificate import write_certificate
from tools.ports import free_port
from tools.smsc_simulator import SmscSettings, SmscSimulator

twisted: Any = endpoints  # carries no types


@in_reactor
async def test_messages_pass_over_ipv6_local_sockets_and_tls_on_both_sides(stage: Stage) -> None:
    here, six, tls = Path(stage.directory), free_port(), free_port()
    key, certificate = here / "key.pem", here / "roots" / "certificate.pem"
    certificate.parent.mkdir()
    write_certificate(key, certificate)
    operators = {  # name: where it listens, and how it is reached
        "six": (f"tcp:{six}:interface=\\:\\:1", f"tcp:\\:\\:1:{six}"),
        "local": (f"unix:{here}/operator.sock", f"unix:{here}/operator.sock"),
        "tls": (
            f"ssl:{tls}:interface=127.0.0.1:privateKey={key}:certKey={certificate}",
            f"tls:127.0.0.1:{tls}:trustRoots={certificate.parent}",
        ),
    }
    channel = stage.settings["smsc_client"].pop()
    stage.settings["bridge"], stage.settings["routes"] = [], []
    for number, (name, (listens, connect)) in enumerate(operators.items()):
        operator = SmscSimulator(SmscSettings(system_id="pombo", password=OPERATOR_PASSWORD), stage.reactor)
        stage._ports[name] = await twisted.serverFromString(stage.reactor, listens).listen(operator)
        stage.settings["smsc_client"].append({**channel, "name": name, "connect": connect})
        route = {"name": name, "when": {"to": [f"551197300{number}"]}, "channels": [name]}
        stage.settings["routes"].append(route)
    port = free_port()
    doors = [f"tcp:\\:\\:1:{port}", f"unix:{here}/smpp.sock"]
    stage.settings["smpp_server"]["listen"] += [f"tcp:{port}:interface=\\:\\:1", f"unix:{here}/smpp.sock"]
    await stage.start()
    for door in doors:
        await _pass(stage, door, list(operators))


async def _pass(stage: Stage, door: str, operators: list[str]) -> None:
    """A message to each operator, from a billing system that binds at this door."""
    biller = Biller(stage.reactor, "billing", PASSWORD)
    factory: Any = Factory.forProtocol(lambda: biller)
    await twisted.clientFromString(stage.reactor, door).connect(factory)
    stage.billers.append(biller)
    assert await biller.bound == 0
    for number in range(len(operators)):
        assert (await biller.submit(f"551197300{number}001", "Sua fatura vence amanha")).status == 0
    await stage.until(lambda: len(biller.receipts) == len(operators), "all are delivered")
    assert {one.channel for one in biller.receipts} == set(operators)
    biller.leave()
    await stage.until(lambda: biller.closed, "it has left")
