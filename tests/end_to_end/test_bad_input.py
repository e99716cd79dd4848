"""Wrong files, wrong clients, wrong webhooks: each costs what it touches and nothing else."""

from __future__ import annotations

import itertools
import json
import socket
import struct
from typing import Any

import pytest
import valkey
from twisted.internet.threads import deferToThread

from gateway.smpp import pdu
from gateway.smpp.constants import CommandStatus
from gateway.store.embedded import socket_path
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.node import GatewayProcess
from tests.end_to_end.stage import KEY, PASSWORD, Stage

serials = itertools.count(11971000000)
ENQUIRE_LINK = 0x15


def number() -> str:
    return f"55{next(serials)}"


# ---------------------------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("wrong", "line", "says"),
    [
        ("node: e2e\nnodes: 2\n", 2, "nodes: "),
        ("node: e2e\nstore:\n  fsync: sometimes\n", 3, "store.fsync: "),
        ("node: e2e\nroutes:\n  - name: default\n    channels: [nowhere]\n", 4, "routes"),
        ("node: [e2e\n", 2, ""),
        ("node: e2e\nhttp: {admin_token: '${POMBO_NO_SUCH_VARIABLE}'}\n", 2, "http.admin_token: "),
    ],
    ids=["unknown key", "wrong value", "unknown channel", "no YAML", "unset variable"],
)
@in_reactor
async def test_a_wrong_configuration_ends_twistd_with_status_1_and_names_the_line(
    stage: Stage, wrong: str, line: int, says: str
) -> None:
    stage.gateway.configure(wrong)
    stage.gateway.start()
    await stage.until(lambda: not stage.gateway.alive, "twistd ends")
    assert stage.gateway.status == 1
    assert f"{stage.gateway.config_path}:{line}: {says}" in stage.gateway.log()
    assert "Traceback" not in stage.gateway.log()


@in_reactor
async def test_a_second_gateway_on_the_same_store_directory_refuses_to_start(stage: Stage) -> None:
    await stage.start()
    second = GatewayProcess(stage.directory, "second")
    stage.settings["smpp_server"]["listen"] = ["tcp:0:interface=127.0.0.1"]
    stage.settings["http"]["listen"] = ["tcp:0:interface=127.0.0.1"]
    second.configure(stage.settings)
    second.start()
    try:
        await stage.until(lambda: not second.alive, "the second one ends")
        assert second.status not in (0, None)
        assert "another gateway uses store.directory" in second.log()
        assert "Traceback" not in second.log()
    finally:
        if second.alive:
            second.kill()
    biller = await stage.bind()
    answer = await biller.submit(number(), "O primeiro continua.")
    assert answer.status == 0
    await stage.until(lambda: len(biller.receipts_of(answer.message_id)) == 1, "the first one works on")


@in_reactor
async def test_an_older_gateway_refuses_the_store_of_a_newer_one_and_says_so(stage: Stage) -> None:
    await stage.start()
    stage.gateway.kill()
    with valkey.Valkey(unix_socket_path=socket_path(stage.gateway.store_directory)) as link:
        link.set("format", "99 7.1.0")
    stage.gateway.start()
    await stage.until(lambda: not stage.gateway.alive, "the older one ends")
    assert stage.gateway.status not in (0, None)
    assert "the store has format 99, written by Pombo 7.1.0" in stage.gateway.log()
    assert "Traceback" not in stage.gateway.log()


# ------------------------------------------------------------------------------------------------------------ clients


@in_reactor
async def test_a_wrong_bind_is_told_why_and_a_right_one_goes_on(stage: Stage) -> None:
    await stage.start()
    bound = await stage.bind()
    await stage.bind(password="wr0ng", status=CommandStatus.ESME_RINVPASWD)
    await stage.bind(system_id="nobody", status=CommandStatus.ESME_RINVSYSID)
    metrics = await stage.metrics()
    assert sum(value for name, value in metrics.items() if name.startswith("pombo_auth_failures_total{")) == 2
    assert (await bound.submit(number(), "Tudo bem.")).status == 0
    await stage.bind()


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack(">IIII", 15, ENQUIRE_LINK, 0, 1),
        struct.pack(">IIII", 0xFFFFFFFF, 4, 0, 1) + b"x" * 100,
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"\0" * 64,
    ],
    ids=["length below a header's", "length beyond all bounds", "HTTP", "zeros"],
)
@in_reactor
async def test_a_pdu_of_impossible_length_ends_its_own_session_only(running: Stage, octets: bytes) -> None:
    other, wrong = await running.bind(), await running.bind()
    answer = other.submit(number(), "Antes do lixo.")
    wrong.raw(octets)
    await running.until(lambda: wrong.closed, "the session is over", 20)
    assert (await answer).status == 0
    assert (await other.submit(number(), "Depois do lixo.")).status == 0
    assert not other.closed
    assert "Traceback" not in running.gateway.log()
    other.leave()


def converse(port: int, *requests: bytes) -> list[pdu.Pdu]:
    """Write each frame and read the one that answers it, without a session that could object."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        answers = []
        for request in requests:
            link.sendall(request)
            head = link.recv(4, socket.MSG_WAITALL)
            answers.append(pdu.decode(head + link.recv(int.from_bytes(head, "big") - 4, socket.MSG_WAITALL)))
        return answers


@in_reactor
async def test_octets_without_sense_in_a_frame_with_sense_cost_one_answer(running: Stage) -> None:
    bind = pdu.BindTransmitter(sequence_number=1, system_id="billing", password=PASSWORD, interface_version=0x34)
    answers = await deferToThread(
        converse,
        running.smpp_port,
        pdu.encode(bind),
        struct.pack(">IIII", 16 + 40, 0x00000004, 0, 2) + b"\xff" * 40,  # submit_sm
        struct.pack(">IIII", 20, 0x0000BEEF, 0, 3) + b"abcd",  # no such command
        pdu.encode(pdu.EnquireLink(sequence_number=4)),
        pdu.encode(pdu.SubmitSm(sequence_number=5, destination_addr=number(), short_message=b"Vivo.")),
    )
    assert [type(answer).__name__ for answer in answers] == [
        "BindTransmitterResp", "SubmitSmResp", "GenericNack", "EnquireLinkResp", "SubmitSmResp",
    ]  # fmt: skip
    assert [answer.sequence_number for answer in answers] == [1, 2, 3, 4, 5]
    bound, nonsense, unknown, alive, taken = (answer.command_status for answer in answers)
    assert bound == alive == taken == 0
    assert nonsense
    assert unknown == CommandStatus.ESME_RINVCMDID


@pytest.mark.parametrize("written", ["", "abc", "0", "12345678901234567890", "55", "+55 11", "112"])
@in_reactor
async def test_a_destination_that_is_no_number_is_answered_0x0b(running: Stage, written: str) -> None:
    biller = await running.bind()
    answer = await biller.submit(written, "Para ninguem.")
    assert answer.status == CommandStatus.ESME_RINVDSTADR
    assert not answer.message_id
    assert not [submit for submit in running.operator.submits if submit.dest == written]
    biller.leave()


@in_reactor
async def test_a_source_that_is_not_the_accounts_is_answered_0x0a(running: Stage) -> None:
    biller = await running.bind()
    answer = await biller.submit(number(), "De outro.", source_addr="OUTRO")
    assert answer.status == CommandStatus.ESME_RINVSRCADR
    biller.leave()


# ----------------------------------------------------------------------------------------------------------- webhooks

UPDATE: dict[str, Any] = {"event": "messages.update", "instance": "main", "data": {"keyId": "X", "status": "READ"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00garbage",
        b"null",
        b"42",
        b'"text"',
        b"[[[[]]]]",
        b"[" * 100_000,
        b'{"event": 7, "instance": [], "data": {"keyId": {}, "status": []}}',
        b'{"event": "messages.update", "instance": "main", "data": [null, 1, "x", {"key": 5, "status": 99}]}',
        b'{"event": "messages.upsert", "instance": "main", "data": {"key": {"remoteJid": 5}, "message": []}}',
        json.dumps({**UPDATE, "data": {"keyId": "Y" * 1_000_000, "status": "READ", "fromMe": True}}).encode(),
        json.dumps({**UPDATE, "data": {"keyId": "a\r\nb\0c d", "status": "READ", "fromMe": True}}).encode(),
        b'{"event": "messages.update", "x": "' + b"y" * (25 * 1024 * 1024) + b'"}',
    ],
    ids=[
        "empty", "broken", "no UTF-8", "null", "number", "string", "lists", "deep", "wrong types", "wrong entries",
        "wrong inbound", "huge id", "odd id", "25 megabytes",
    ],
)  # fmt: skip
@in_reactor
async def test_a_webhook_that_says_nothing_is_answered_and_forgotten(running: Stage, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    status, _ = await running.ask("POST", "/webhooks/zap", data=body, headers=headers)
    large = len(body) > 24 * 1024 * 1024
    assert status == (413 if large else 200) or 400 <= status < 500
    assert (await running.ask("POST", "/webhooks/nobody", data=body, headers=headers))[0] == (413 if large else 404)
    assert (await running.ask("GET", "/readyz"))[0] == 200
    assert "Traceback" not in running.gateway.log()


@in_reactor
async def test_after_all_that_a_text_still_goes_both_ways(running: Stage) -> None:
    with_account, without = number(), number()
    running.provider.people.add(with_account)
    biller = await running.bind()
    ids = [(await biller.submit(to, "Ainda funciona.")).message_id for to in (with_account, without)]
    await running.until(lambda: all(biller.receipts_of(one) for one in ids), "both receipts")
    assert [biller.receipts_of(one)[0].channel for one in ids] == ["zap", "operator"]
    assert KEY not in running.gateway.log()
    biller.leave()
