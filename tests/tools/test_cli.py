"""The commands against a node that is a few lines of HTTP, on a real socket."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
import pytest_twisted
import valkey
from twisted.internet import endpoints, reactor
from twisted.internet.threads import deferToThread

from config.schema import StoreSettings
from config.secrets import verify_password
from gateway.store.embedded import EmbeddedServer
from tests.tools.test_journey import MESSAGE
from tools import cli, feed, node_commands
from tools.http_door import Reply, site
from tools.node import Node, NodeError
from tools.terminal import Terminal

STATUS = {
    "node": "gw1",
    "accounts": [
        {"system_id": "billing", "receipts_pending": 3,
         "binds": [{"type": "transceiver", "peer": "10.0.0.9", "since": "2026-11-21T09:00:00Z"}]},
        {"system_id": "other", "binds": [], "receipts_pending": 0},
    ],
    "channels": [
        {"name": "operator", "kind": "smsc", "up": True, "binds": 1, "queue": 0, "oldest_seconds": 0, "inflight": 2,
         "quarantined": False},
        {"name": "zap", "kind": "whatsapp", "up": False, "binds": 0, "queue": 7, "oldest_seconds": 61.5, "inflight": 0,
         "quarantined": True},
    ],
}  # fmt: skip


UNMATCHED = {
    "channel": "official", "count": 812, "shape": "Ola {nome},\nsua fatura vence {data}", "doubts": ["put words there"],
    "template": {"name": "fatura_vence", "language": "pt_BR", "category": "UTILITY", "samples": ["Ana", "10/12/2026"],
                 "body": "Ola {{1}},\nsua fatura vence {{2}}"},
    "rule": "- name: fatura_vence\n  language: pt_BR",
}  # fmt: skip


class FakeNode:
    """Answers the admin paths; a sent message is delivered at the third look, or ends as `ends`."""

    def __init__(self) -> None:
        self.token = "t0ken"
        self.orders: list[dict[str, Any]] = []
        self.looks = 0
        self.ends = "delivered"
        self.shapes = 1
        self.errors: list[str] = []
        self.refuses: Reply | None = None
        self.unlisted: Reply | None = None
        self.changes = [{"place": "routes default", "what": "fallback_after 10m -> 5m", "effect": "at once"}]

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if self.refuses is not None:
            return self.refuses
        if headers.get("authorization", "").encode("latin-1").decode() != f"Bearer {self.token}":
            return Reply(401, {"error": "no"})
        path = path.partition("?")[0]
        match method, path:
            case "GET", "/admin/status":
                return Reply(200, STATUS)
            case "GET", "/admin/unmatched":
                return Reply(200, {"unmatched": [UNMATCHED] * self.shapes})
            case "GET", "/admin/messages":
                return self.unlisted or Reply(200, {"messages": [MESSAGE, {**MESSAGE, "id": "m0"}]})
            case "POST", "/admin/reload":
                return (
                    Reply(422, {"errors": self.errors}) if self.errors else Reply(200, {"changed": ["routes", "zap"]})
                )
            case "GET", "/admin/diff":
                return Reply(422, {"errors": self.errors}) if self.errors else Reply(200, {"changes": self.changes})
            case "GET", "/admin/config":
                return Reply(200, {"yaml": "node: gw1\n", "secrets": ["SMSC_CLIENT_OPERATOR_PASSWORD"]})
            case "POST", "/admin/receipts/resend":
                self.orders.append(json.loads(body))
                known = self.orders[-1]["account"] == "billing"
                return Reply(200, {"queued": 7}) if known else Reply(422, {"error": "account: not one"})
            case "POST", "/admin/messages":
                self.orders.append(json.loads(body))
                return (
                    Reply(202, {"id": "m1"})
                    if self.orders[-1]["account"] == "billing"
                    else Reply(422, {"error": "no such account"})
                )
            case "GET", _ if unquote(path) == "/admin/messages/m1":
                self.looks += 1
                if self.looks < 3:
                    return Reply(200, {**MESSAGE, "state": "enroute", "events": MESSAGE["events"][: self.looks]})
                return Reply(200, {**MESSAGE, "state": self.ends})
        return Reply(404, {"error": "unknown"})


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    fake = FakeNode()
    listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site(fake.answer))
    port: Any = pytest_twisted.blockon(listening)
    config = tmp_path / "pombo.yaml"
    config.write_text(
        f"http: {{listen: ['tcp:{port.getHost().port}:interface=127.0.0.1'], admin_token: t0ken}}\n"
        f"store: {{directory: {tmp_path}/store}}\n"
    )
    monkeypatch.setenv("POMBO_CONFIG", str(config))
    monkeypatch.setattr(node_commands, "POLL_S", 0.001)
    yield fake
    pytest_twisted.blockon(port.stopListening())


async def pombo(*words: str) -> int:
    """Run a command while the fake node answers in the reactor's thread."""
    status: int = await deferToThread(cli.main, words)
    return status


@pytest_twisted.ensureDeferred
async def test_status_is_a_table(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("status") == 0
    out = capsys.readouterr().out
    assert "billing  transceiver  10.0.0.9" in out and "not bound" in out
    assert "zap       whatsapp  quarantined      0      7    62 s" in out


@pytest_twisted.ensureDeferred
async def test_status_as_json_is_the_nodes_answer(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATUS


@pytest_twisted.ensureDeferred
async def test_trace_takes_an_id_or_a_number(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node.looks = 9
    assert await pombo("trace", "m1") == 0
    assert capsys.readouterr().out.startswith("m1  billing")
    assert await pombo("trace", "(11) 98888-0001") == 0
    out = capsys.readouterr().out
    assert out.index("m0  billing") < out.index("m1  billing"), "the oldest comes first"


@pytest_twisted.ensureDeferred
async def test_trace_of_something_unknown_is_1(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node_commands.Node, "messages", lambda self, number, limit: [])
    assert await pombo("trace", "nothing") == 1
    assert "knows no message" in capsys.readouterr().err


@pytest_twisted.ensureDeferred
async def test_send_prints_the_journey_and_says_whether_it_was_delivered(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await pombo("send", "--account", "billing", "--to", "5511988880001", "--from", "28940", "Olá") == 0
    assert node.orders == [{"account": "billing", "to": "5511988880001", "text": "Olá", "from": "28940"}]
    out = capsys.readouterr().out
    assert out.count("accepted") == 1 and "delivered, by WhatsApp" in out
    node.looks, node.ends = 0, "undeliverable"
    assert await pombo("send", "--account", "billing", "--to", "5511988880001", "Olá") == 1


@pytest.mark.parametrize(("channel", "said"), [("zap", "zap is down"), ("operator", "operator has said nothing yet")])
def test_send_says_what_a_message_waits_for(channel: str, said: str) -> None:
    assert node_commands.waiting_for({"channel": channel}, STATUS).startswith(said)


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_not_accepted_is_1(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("send", "--account", "x", "--to", "5511988880001", "Olá") == 1
    assert "no such account" in capsys.readouterr().err


@pytest_twisted.ensureDeferred
async def test_a_wrong_token_is_one_line_and_2(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pombo.yaml"
    path.write_text(path.read_text().replace("t0ken", "wrong"))
    assert await pombo("status") == 2
    error = capsys.readouterr().err
    assert "refuses the admin token" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, {"error": "no"}, "wants http.admin_token set"),
        (503, {"error": "the store is away: not connected"}, "HTTP 503: the store is away: not connected"),
        (500, "what", "HTTP 500"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_a_node_cannot_answer_is_told_in_its_words(
    node: FakeNode, capsys: pytest.CaptureFixture[str], status: int, body: Any, said: str
) -> None:
    node.refuses = Reply(status, body)
    for words in (["status"], ["trace", "m1"], ["trace", "11988880001"], ["reload"], ["diff"], ["unmatched"]):
        assert await pombo(*words) == 2, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


@pytest_twisted.ensureDeferred
async def test_a_list_that_the_node_does_not_give_is_told_in_its_words(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    node.unlisted = Reply(422, {"error": "limit is a number from 1 to 1000"})
    assert await pombo("trace", "11988880001", "--limit", "5000") == 2
    assert "limit is a number from 1 to 1000" in capsys.readouterr().err


@pytest_twisted.ensureDeferred
async def test_a_token_may_have_any_letters(node: FakeNode) -> None:
    config = Path(os.environ["POMBO_CONFIG"])
    node.token = "não é €"
    config.write_text(config.read_text().replace("t0ken", node.token), encoding="utf-8")
    assert await pombo("status") == 0


@pytest_twisted.ensureDeferred
async def test_words_that_are_no_text_name_no_message(node: FakeNode) -> None:
    node.unlisted = Reply(200, {"messages": []})
    found = Node.find(os.environ)
    assert await deferToThread(found.message, "m1\udcff") is None
    assert await deferToThread(found.messages, "m1\udcff") == []


@pytest.mark.parametrize(
    "words",
    ["smsc --listen 2776", "whatsapp --key k --listen 8080", "esme --password p --connect 127.0.0.1"],
    ids=lambda words: words.partition(" ")[0],
)
def test_a_simulator_with_an_endpoint_that_is_none_is_one_line_and_2(words: str) -> None:
    command = [sys.executable, "-m", "tools.cli", "simulate", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("pombo: ") and done.stderr.count("\n") == 1


def test_a_node_that_is_not_there_is_one_line_and_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pombo.yaml"
    path.write_text(f"http: {{listen: ['tcp:9:interface=127.0.0.1']}}\nstore: {{directory: {tmp_path}/store}}\n")
    monkeypatch.setenv("POMBO_CONFIG", str(path))
    for words in (["status"], ["trace", "x"], ["send", "--account", "a", "--to", "1", "x"], ["events"]):
        assert cli.main(words) == 2
        error = capsys.readouterr().err
        assert "cannot be reached" in error and error.count("\n") == 1


def test_check_names_the_line_and_keeps_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("smpp_server:\n  accounts:\n    - {system_id: a, password: geheim, windows: 3}\n")
    assert cli.main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"{path}:3: smpp_server.accounts[0].windows" in out and "geheim" not in out


def test_hash_reads_standard_input_and_verifies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret12\n"))
    assert cli.main(["hash"]) == 0

    class Account:
        password = None

        class password_hash:
            @staticmethod
            def get_secret_value() -> str:
                return printed

    printed = capsys.readouterr().out.strip()
    assert "secret12" not in printed
    assert verify_password("secret12", Account()) and not verify_password("secret13", Account())  # type: ignore[arg-type]


def test_hash_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(["hash"]) == 1


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["simulate", "--help"], ["simulate", "smsc", "--help"]])
def test_help_and_version_are_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 0 and "pombo" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["nothing"], ["trace"], ["status", "--wrong"], ["simulate", "fax"]])
def test_a_wrong_command_line_is_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2


# ---- the event feed, on a real store


@pytest.fixture
def store(tmp_path: Path) -> Any:
    settings = StoreSettings(directory=str(tmp_path / "s"))
    server = EmbeddedServer(settings.directory, "everysec")
    server.lock()
    server.ensure()
    client: Any = None
    while client is None:
        try:
            client = feed.connect(settings)
        except NodeError:
            continue
    yield client, settings
    client.shutdown(nosave=True)
    server.stop()


def batch(client: valkey.Valkey, *events: dict[str, Any]) -> None:
    client.xadd(feed.FEED, {"b": msgspec.msgpack.encode(list(events))})


def test_events_come_in_order_filtered_by_account_and_moment(store: Any) -> None:
    client, _ = store
    batch(
        client,
        {"id": "a", "at": 100.0, "event": "accepted", "account": "x"},
        {"id": "b", "at": 101.0, "event": "sent", "account": "y"},
    )
    batch(client, {"id": "c", "at": "1970-01-01T00:01:42Z", "event": "delivered", "account": "x"})

    def ids(**asked: Any) -> list[str]:
        return [event["id"] for event in feed.events(client, **asked)]

    assert ids() == ["a", "b", "c"]
    assert ids(account="x") == ["a", "c"]
    assert ids(since_at=101.0) == ["b", "c"]


def test_following_goes_on_with_what_happens(store: Any) -> None:
    client, _ = store
    batch(client, {"id": "a", "at": 100.0, "event": "accepted", "account": "x"})
    following = feed.events(client, follow=True)
    assert next(following)["id"] == "a"
    batch(client, {"id": "b", "at": 101.0, "event": "sent", "account": "x"})
    assert next(following)["id"] == "b"


def test_events_are_printed_as_json_lines_with_iso_moments(
    store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client, settings = store
    batch(client, {"id": "a", "at": 100.25, "event": "accepted", "account": "x", "to": "551"})
    path = tmp_path / "pombo.yaml"
    path.write_text(f"store: {{directory: {settings.directory}}}\n")
    monkeypatch.setenv("POMBO_CONFIG", str(path))
    assert cli.main(["events"]) == 0
    assert json.loads(capsys.readouterr().out)["at"] == "1970-01-01T00:01:40.250Z"
    assert cli.main(["events", "--since", "whenever"]) == 2


def test_binds_of_one_kind_from_one_host_are_one_line() -> None:
    binds = [
        {"type": kind, "peer": f"10.0.0.{host}:{port}", "since": f"2026-11-21T09:00:0{port}Z"}
        for port, (kind, host) in enumerate([("receiver", 9), ("transceiver", 8), ("receiver", 9), ("receiver", 7)])
    ]
    found = {**STATUS, "accounts": [{"system_id": "billing", "receipts_pending": 3, "binds": binds}], "channels": []}
    lines = node_commands.status_lines(found, Terminal(io.StringIO(), {}), 1_795_251_610.0)
    assert [line.split() for line in lines[3:6]] == [
        ["billing", "receiver", "x2", "10.0.0.9", "10", "s", "3"],
        ["transceiver", "10.0.0.8:1", "9.00", "s"],
        ["receiver", "10.0.0.7:3", "7.00", "s"],
    ]


def test_the_senders_of_a_channel_that_has_several_have_a_table_of_their_own() -> None:
    sender = {"up": True, "state": "up", "since": "2026-11-21T09:00:00Z", "quarantined": False, "inflight": 3,
              "left_today": None}  # fmt: skip
    banned = {**sender, "up": False, "state": "logged_out", "quarantined": True, "inflight": 0, "left_today": 17}
    channels = [
        {**STATUS["channels"][1], "name": "many",
         "senders": [{**sender, "name": "sales"}, {**banned, "name": "…4321"}]},
        {**STATUS["channels"][1], "senders": [{**sender, "name": "main"}]},
    ]  # fmt: skip
    at = datetime(2026, 11, 21, 9, 0, 42, tzinfo=UTC).timestamp()
    lines = node_commands.status_lines({**STATUS, "channels": channels}, Terminal(io.StringIO(), {}), at)
    assert [line.split() for line in lines[-3:]] == [
        ["SENDER", "CHANNEL", "STATE", "FOR", "IN", "FLIGHT", "LEFT", "TODAY"],
        ["sales", "many", "up", "42", "s", "3"],
        ["…4321", "many", "logged_out", "42", "s", "0", "17"],
    ]
    channels = channels[1:]
    lines = node_commands.status_lines({**STATUS, "channels": channels}, Terminal(io.StringIO(), {}), at)
    assert not any(line.startswith("SENDER") for line in lines)


def test_the_status_says_of_how_many_processes_the_node_is() -> None:
    workers = [{"number": number, "answers": number < 3, "pid": 1, "connections": 0} for number in (1, 2, 3)]
    words = [
        node_commands.status_lines({**STATUS, "workers": some}, Terminal(io.StringIO(), {}), 1.0)[0]
        for some in (workers, workers[:2])
    ]
    assert words == ["node gw1, 3 workers, 1 of them silent", "node gw1, 2 workers"]


def test_the_status_says_first_why_the_node_is_not_ready() -> None:
    reasons = {"store": "127.0.0.1:6379 takes no connections", "smpp": "the SMPP listener is not up"}
    lines = node_commands.status_lines({**STATUS, "not_ready": reasons}, Terminal(io.StringIO(), {}), 1.0)
    assert lines[:4] == [
        "node gw1",
        "not ready: store: 127.0.0.1:6379 takes no connections",
        "not ready: smpp: the SMPP listener is not up",
        "",
    ]


def test_status_lines_need_no_terminal() -> None:
    paint: Callable[[], Terminal] = lambda: Terminal(io.StringIO(), {})  # noqa: E731
    lines = node_commands.status_lines(STATUS, paint(), now=1_763_719_200.0)
    assert lines[0] == "node gw1" and not any("\x1b" in line for line in lines)


@pytest_twisted.ensureDeferred
async def test_unmatched_shows_each_shape_with_its_draft(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("unmatched") == 0
    assert capsys.readouterr().out.splitlines() == [
        "812 times on official",
        "  Ola {nome},",
        "  sua fatura vence {data}",
        "  template fatura_vence, pt_BR, utility:",
        "    Ola {{1}},",
        "    sua fatura vence {{2}}",
        "    samples: Ana | 10/12/2026",
        "  mind: put words there",
        "  rule, under templates: of the channel, once the template is approved:",
        "    - name: fatura_vence",
        "      language: pt_BR",
    ]
    assert await pombo("unmatched", "--json", "--limit", "3") == 0
    assert json.loads(capsys.readouterr().out) == [UNMATCHED]
    node.shapes = 0
    assert await pombo("unmatched") == 0
    assert "had one" in capsys.readouterr().out


@pytest_twisted.ensureDeferred
async def test_reload_says_what_changed_or_why_nothing_did(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("reload") == 0
    said = capsys.readouterr().out
    assert said == "routes default: fallback_after 10m -> 5m (at once)\nreloaded: routes, zap\n"
    node.errors = ["pombo.yaml:7: routes: is missing"]
    assert await pombo("reload") == 1
    assert capsys.readouterr().err == "pombo.yaml:7: routes: is missing\n"


@pytest_twisted.ensureDeferred
async def test_the_node_tells_what_its_file_would_change(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("diff") == 1
    assert capsys.readouterr().out == "routes default: fallback_after 10m -> 5m (at once)\n"
    node.changes = []
    assert await pombo("diff") == 0
    assert capsys.readouterr().out == "nothing would change\n"
    node.errors = ["pombo.yaml:7: routes: is missing"]
    assert await pombo("diff") == 2
    assert capsys.readouterr().err == "pombo.yaml:7: routes: is missing\n"


def test_one_file_is_held_against_that_of_the_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, level in (("a.yaml", "info"), ("b.yaml", "debug")):
        (tmp_path / name).write_text(f"log: {{level: {level}}}\n")
    monkeypatch.setenv("POMBO_CONFIG", str(tmp_path / "a.yaml"))
    for words in (["b.yaml"], ["a.yaml", "b.yaml"]):
        assert cli.main(["diff", *(str(tmp_path / word) for word in words)]) == 1
        assert capsys.readouterr().out == "log: level info -> debug (with the next start)\n"
    assert cli.main(["diff", str(tmp_path / "a.yaml")]) == 0
    assert cli.main(["diff", str(tmp_path / "c.yaml")]) == 2
    with pytest.raises(SystemExit):
        cli.main(["diff", "a", "b", "c"])


@pytest_twisted.ensureDeferred
async def test_config_prints_yaml_alone_and_names_what_to_set(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await pombo("config", "export") == 0
    said = capsys.readouterr()
    assert said.out == "node: gw1\n" and "SMSC_CLIENT_OPERATOR_PASSWORD" in said.err


@pytest_twisted.ensureDeferred
async def test_receipts_are_listed_and_sent_again(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert await pombo("receipts", "pending") == 0
    assert "billing                 3      1" in capsys.readouterr().out
    assert await pombo("receipts", "resend", "--account", "billing", "--since", "2026-11-21T10:00") == 0
    assert node.orders == [{"account": "billing", "since": 1795255200.0}]
    assert capsys.readouterr().out == "7 receipts go to billing again\n"
    assert await pombo("receipts", "resend", "--account", "nobody", "--since", "2h") == 1
    assert "account: not one" in capsys.readouterr().err
    assert await pombo("receipts", "resend", "--account", "billing", "--since", "yesterday") == 2
    assert "--since" in capsys.readouterr().err


@pytest_twisted.ensureDeferred
async def test_status_is_watched_also_while_the_node_is_away(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = []

    def away(self: Any) -> Any:
        raise NodeError("the node cannot be reached; is it running?")

    def asleep(seconds: float) -> None:
        looks.append(seconds)
        monkeypatch.setattr(node_commands.Node, "status", away)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(node_commands.time, "sleep", asleep)
    assert await pombo("status", "--watch", "--every", "500ms") == 130
    out = capsys.readouterr().out
    assert looks == [0.5, 0.5] and "billing  transceiver" in out and "is it running?" in out


def test_version_and_schema_and_completions_need_no_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("pombo ")
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Pombo's configuration"
    for shell in ("bash", "zsh", "fish", "tcsh"):
        assert cli.main(["completion", shell]) == 0
        out = capsys.readouterr().out
        assert "receipts" in out and "unmatched" in out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a file that is always full")
@pytest.mark.parametrize("command", ["version", "check"])
def test_output_that_cannot_be_written_is_told_in_a_line(command: str) -> None:
    words = [sys.executable, "-m", "tools.cli", command, *(["config/pombo.yaml"] if command == "check" else [])]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "pombo: No space left on device\n")


def test_what_the_locale_has_no_character_for_is_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text('node: "ação"\n', encoding="utf-8")
    words = [sys.executable, "-m", "tools.cli", "check", str(tmp_path / "odd.yaml")]
    ran = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert (ran.returncode, ran.stderr) == (1, "") and 'node: "a??o" does not fit' in ran.stdout


def test_standard_output_may_be_closed() -> None:
    words = f"{sys.executable} -m tools.cli check config/pombo.yaml >&-"
    ran = subprocess.run(["sh", "-c", words], stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("re", "receipts reload"),
        ("receipts ", "pending resend"),
        ("receipts resend --a", "--account"),
        ("simulate whatsapp --prov", "--provider"),
        ("check poem", "poem.yaml"),
    ],
)
def test_bash_completes_commands_options_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: str, offered: str
) -> None:
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    (tmp_path / "poem.yaml").write_text("")
    words = " ".join(map(repr, ["pombo", *typed.split(" ")]))
    script = (
        f"source ./completion; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _shtab_pombo;"
        ' echo "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == offered, ran.stderr
