"""A node that has read another file is the node that was started with it, and what did not change was left alone.

Nodes are built as for service and stand on a reactor in memory, with operators and billing systems bound to them; only
the store, which a reload leaves alone, does not answer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from bridge.provider import HttpRequest
from config.compare import BINDS_ANEW, BINDS_END, NEXT_START, changes
from config.export import exported
from config.load import load, load_as_written
from config.running import Loaded
from gateway.channels import Channels
from gateway.routing.decide import ChannelFacts
from gateway.wiring import Node
from smsc_client.channel import STOP_S, SmscChannel
from tests.fakes.graph import values_of
from tests.fakes.smsc import FakeSmsc
from tests.gateway.server.house import Esme

PASSWORDS = ("${file:first}", "${file:other}")
OF_ITS_LIFE = (  # what is not of the configuration
    "_exchanges", "_pumps", "key", "trustworthy", "operators", "protocol", "since", "_said", "_next", "_asking",
    "_written", "_running", "_counted_at",
)  # fmt: skip
Document = dict[str, Any]


def maybe(**keys: Any) -> st.SearchStrategy[Document]:
    """A mapping with any of these keys."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in keys.items()})


def merged(*parts: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.tuples(*parts).map(lambda found: {key: value for part in found for key, value in part.items()})


def account(name: str) -> st.SearchStrategy[Document]:
    return merged(
        st.fixed_dictionaries({"system_id": st.just(name), "password": st.sampled_from(PASSWORDS)}),
        maybe(
            throughput=["10/s", "500/s", "60/m"], window=[1, 50], over_rate=["delay"], default_alphabet=["latin1"],
            sources=[["28940"], ["28940", "POMBO"]], receipts_kept=["1h", "7d"], dedupe=["1m", "5m"],
            quirks=[["smpp33"], ["hex_ids"]], time_zone=["America/Sao_Paulo"], template_directive=[True],
            allow_from=[["127.0.0.0/8"]], outbind=["tcp:10.0.0.5:2775"],
        ),
    )  # fmt: skip


def operator(name: str) -> st.SearchStrategy[Document]:
    needed = {"name": name, "connect": "tcp:127.0.0.1:2776", "system_id": "pombo"}
    return merged(
        st.just(needed),
        st.fixed_dictionaries({"password": st.sampled_from(PASSWORDS)}),
        maybe(
            throughput=["50/s", "200/s"], price=["0.08", "0.10"], source=["28940"], default_alphabet=["latin1"],
            long_messages=["sar", "payload"], transliterate=[True], unanswered=["resend"], pass_tlvs=[[5120]],
            status=[{88: "retry"}], dest_ton=[2], window=[10], binds=[2], system_type=["SMPP"],
            bind=["transmitter_receiver"], enquire_link=["20s"], response_timeout=["5s"],
            reconnect=[{"initial": "2s", "max": "9s"}],
        ),
    )  # fmt: skip


TEMPLATE = {"name": "fatura", "language": "pt_BR", "match": "Ola (?P<nome>.+)", "body": ["{nome}"]}
WAHA = {"name": "zap", "provider": "waha", "url": "http://127.0.0.1:3000", "api_key": "k", "instance": "main"}
CLOUD = {"name": "zap", "provider": "cloud_api", "url": "https://graph.facebook.com/v25.0", "api_key": "k",
         "instance": "1", "app_secret": "s"}  # fmt: skip
SENDER = st.one_of(
    merged(
        st.just(WAHA),
        maybe(
            throughput=["5/s"], price=["0.01"], timeout=["3s"], webhook_secret=["w"], url=["http://127.0.0.1:3001"],
            lookup=[{"deadline": "1s"}, {"enabled": False}, {"when_unknown": "send"}],
            health=[{"min_acks": 0.9, "window": "30s"}], limits=[{"day": 100}, {"person": "1m"}],
        ),
    ),
    merged(
        st.just(CLOUD),
        maybe(direct_send=[True], templates=[[TEMPLATE], [{**TEMPLATE, "ttl": "10m", "text": "Ola {{1}}"}]]),
    ),
    merged(
        st.just({key: value for key, value in CLOUD.items() if key != "instance"}),
        maybe(business_account=["X", "Y"], throughput=["5/s"]),
        st.lists(
            merged(
                st.sampled_from([{"instance": "1"}, {"instance": "2"}, {"instance": "3"}]),
                maybe(name=["sales", "support"], throughput=["9/s"], limits=[{"day": 5}], business_account=["Y"]),
            ),
            min_size=1, unique_by=(lambda one: one["instance"], lambda one: one.get("name", one["instance"])),
        ).map(lambda senders: {"senders": senders}),
    ),
)  # fmt: skip
WHEN = maybe(text=["codigo", "token"], to=[["5511"]], data_coding=[[8]], hours=["08:00-20:00"], days=[["mon"]])
TOP = merged(
    maybe(country=["BR", "PT"], currency=["BRL", "EUR"], node=["gw1", "gw2"]),
    maybe(log=[{"level": "debug"}, {"format": "json"}], http=[{"admin_token": "t"}, {"listen": "tcp:8082"}]),
)
SERVER = maybe(
    system_id=["POMBO", "GATEWAY"], parts_timeout=["10s"], default_validity=["1h", "10d"], enquire_link=["5s"],
    uniform_bind_error=[True], listen=["tcp:2776", ["tcp:2775", "tcp:2777"]], inactivity_timeout=["1m"],
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A configuration that is right, small, and may differ from another in nearly every key."""
    out: Document = draw(TOP)
    accounts = [draw(account(name)) for name in ("billing", "crm") if draw(st.booleans())]
    operators = [draw(operator(name)) for name in ("one", "two") if name == "one" or draw(st.booleans())]
    senders = [draw(SENDER)] if draw(st.booleans()) else []
    names = [one["name"] for one in (*operators, *senders)]
    routes = []
    for name in draw(st.permutations(["special", "default"])):
        channels = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        route = {"name": name, "channels": channels, "fallback": "none"}
        route |= draw(maybe(success=["sent"], priority=["high"])) | {
            "fallback_after": draw(st.sampled_from(["30s", "10m"]))
        }
        when = draw(WHEN) or {"text": "ola"}
        routes.append(route if name == "default" else {**route, "when": when})
    routes.sort(key=lambda route: "when" not in route)  # behind one for everything, nothing is reached
    replies = [{"account": accounts[0]["system_id"]}] if accounts and draw(st.booleans()) else []
    return {
        **out, "smpp_server": {**draw(SERVER), "accounts": accounts}, "smsc_client": operators, "bridge": senders,
        "routes": routes, "replies": replies,
    }  # fmt: skip


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Document, Document]:
    """Two configurations; of what both name, some is the same."""
    before, after = draw(documents()), draw(documents())
    for was, will in (
        (before["smpp_server"]["accounts"], after["smpp_server"]["accounts"]),
        (before["smsc_client"], after["smsc_client"]),
        (before["bridge"], after["bridge"]),
    ):
        known = {one.get("name") or one["system_id"]: one for one in was}
        for place, one in enumerate(will):
            if draw(st.booleans()):
                will[place] = known.get(one.get("name") or one["system_id"], one)
    return before, after


def at_once(before: Document, after: Document) -> Document:
    """What a node that was started with one runs with when it has read another: what waits for the next start is as
    before."""
    out = {key: value for key, value in after.items() if key not in ("node", "log", "http")}
    out |= {key: before[key] for key in ("node", "log", "http") if key in before}
    server = {key: value for key, value in after["smpp_server"].items() if key != "listen"}
    listen = before["smpp_server"].get("listen")
    return {**out, "smpp_server": {**server, **({"listen": listen} if listen else {})}}


class NodeInMemory(Node):
    """Its operators are made with its channels, and kept by their names."""

    operators: dict[str, list[FakeSmsc]]

    def _make_channels(self, wirelog: Any) -> Channels:
        channels = super()._make_channels(wirelog)
        make = channels.make

        def make_with_operator(settings: Any) -> Any:
            channel: Any = make(settings)
            if isinstance(channel, SmscChannel):
                operator = FakeSmsc(self._reactor)
                self.operators.setdefault(channel.name, []).append(operator)
                for link in channel._links:
                    link._endpoint = operator.endpoint  # type: ignore[assignment]
            return channel

        channels.make = make_with_operator  # type: ignore[method-assign]
        return channels


class Standing:
    """A node on a reactor in memory, whose operators answer binds."""

    def __init__(self, directory: Path, document: Document) -> None:
        self.path = directory / "pombo.yaml"
        self.write(document)
        self.clock = MemoryReactorClock()
        self.node = NodeInMemory(*load_as_written(self.path, {}), self.path, self.clock)
        self.operators = self.node.operators = {}
        self.node._build()
        self.node._furnish(1)
        self.server = self.node.server
        for name, channel in self.node.delivery.channels.items():
            self.node._spawn(channel.start(), "start")
            self.node.delivery.dispatchers[name].start()
        self.clock.advance(0)

    def write(self, document: Document) -> None:
        self.path.write_text(yaml.safe_dump({**document, "store": {"directory": str(self.path.parent)}}))

    def read(self, document: Document) -> tuple[list[str], list[str]]:
        """The node reads this as its file, and has the time that its channels may take."""
        self.write(document)
        answer = self.node.reload()
        self.clock.advance(STOP_S + 1)
        return answer

    def bind(self, system_id: str, password: str) -> Esme:
        esme = Esme(self, "127.0.0.1")  # type: ignore[arg-type]
        assert esme.bind("trx", system_id, password) == 0
        return esme

    @staticmethod
    def secret(name: str) -> str:
        """What a secret that the file holds itself is, by the name that stands for it."""
        return {"API_KEY": "k", "APP_SECRET": "s", "WEBHOOK_SECRET": "w", "ADMIN_TOKEN": "t"}[
            name.removeprefix("BRIDGE_ZAP_").removeprefix("HTTP_")
        ]

    @property
    def running(self) -> Loaded:
        return self.node._config, self.node._written

    def values(self) -> dict[str, Any]:
        return {
            path: value for path, value in values_of(self.node).items()
            if not any(f".{name}" in path for name in OF_ITS_LIFE)
        }  # fmt: skip


def unlike(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two nodes differ."""
    nothing = object()
    return {
        path: (one.get(path), other.get(path))
        for path in {**one, **other}
        if one.get(path, nothing) != other.get(path, nothing)
    }


SHORT = settings(
    max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pombo-") as name:
        for word in ("first", "other"):
            (Path(name) / word).write_text(f"{word}-p")
        yield Path(name)


@SHORT
@given(pair=pairs())
def test_a_node_that_has_read_a_file_is_one_that_was_started_with_it(
    place: Path, pair: tuple[Document, Document]
) -> None:
    before, after = pair
    node, fresh = Standing(place, before), Standing(place, at_once(before, after))
    _, errors = node.read(after)
    fresh.clock.advance(STOP_S + 1)
    assert errors == []
    assert unlike(node.values(), fresh.values()) == {}
    file = load_as_written(node.path, {})
    assert {one.effect for one in changes(node.running, file)} <= {NEXT_START}


@SHORT
@given(pair=pairs())
def test_what_a_node_tells_of_its_configuration_is_what_it_runs_with(
    place: Path, pair: tuple[Document, Document]
) -> None:
    before, after = pair
    node = Standing(place, before)
    node.read(after)
    text, secrets = exported(node.running[1])
    (place / "told.yaml").write_text(text)
    assert load(place / "told.yaml", {name: node.secret(name) for name in secrets}) == node.running[0]


@SHORT
@given(pair=pairs())
def test_the_binds_that_end_are_those_that_were_foretold(place: Path, pair: tuple[Document, Document]) -> None:
    before, after = pair
    node = Standing(place, before)
    esmes = {one["system_id"]: node.bind(one["system_id"], one["password"][7:-1] + "-p")
             for one in before["smpp_server"]["accounts"]}  # fmt: skip
    sessions = {name: list(operators[0].sessions) for name, operators in node.operators.items()}
    assert all(sessions.values())
    node.write(after)
    foretold = {one.place for one in changes(node.running, load_as_written(node.path, {}))
                if one.effect in (BINDS_END, BINDS_ANEW) or one.what == "is gone"}  # fmt: skip
    node.read(after)
    ended = {f"smpp_server.accounts {name}" for name, esme in esmes.items() if esme.transport.disconnecting}
    ended |= {f"smsc_client {name}" for name, before in sessions.items()
              if node.operators[name][0].sessions != before}  # fmt: skip
    binds = {f"smpp_server.accounts {name}" for name in esmes} | {f"smsc_client {name}" for name in sessions}
    assert ended == foretold & binds


@SHORT
@given(pair=pairs(), wrong=st.sampled_from(["roots: []\n", "x: [", "\x01"]))
def test_a_bad_file_changes_nothing_and_says_why(place: Path, pair: tuple[Document, Document], wrong: str) -> None:
    before, after = pair
    node = Standing(place, before)
    was = node.values()
    node.write(after)
    node.path.write_text(node.path.read_text() + wrong)
    changed, errors = node.node.reload()
    node.clock.advance(0)
    assert (changed, unlike(node.values(), was)) == ([], {})
    assert errors and all(error.startswith(f"{node.path}:") for error in errors)


def test_files_that_are_read_faster_than_channels_end_leave_the_channels_of_the_last(place: Path) -> None:
    def document(port: int, *names: str) -> Document:
        operators = [
            {"name": name, "connect": f"tcp:127.0.0.1:{port}", "system_id": "pombo", "password": PASSWORDS[0]}
            for name in names
        ]
        return {
            "smpp_server": {"accounts": []}, "smsc_client": operators, "bridge": [], "replies": [],
            "routes": [{"name": "all", "channels": names[0]}],
        }  # fmt: skip

    node = Standing(place, document(1, "one", "two"))
    for operators in node.operators.values():
        operators[0].silent = True  # so that they do not answer the unbind, and the channels take their time to end
    for read in (document(2, "one", "two"), document(3, "one"), document(4, "one", "two"), document(5, "one")):
        node.write(read)
        assert node.node.reload()[1] == []
        node.clock.advance(0.1)
    for _ in range(20):
        node.clock.advance(1)
    assert {name: channel.settings.connect for name, channel in node.node.delivery.channels.items()} == {
        "one": "tcp:127.0.0.1:5"
    }
    assert [len(operator.sessions) for operator in node.operators["one"]] == [0, 1]
    assert [len(operator.sessions) for operator in node.operators["two"]] == [0]


def test_a_sender_that_stays_and_the_recovery_of_a_crash_follow_the_file(place: Path) -> None:
    """What is asked for seldom, and would be missed by few pairs."""
    operator = {"name": "one", "connect": "tcp:127.0.0.1:1", "system_id": "pombo", "password": PASSWORDS[0]}
    before = {
        "country": "BR", "smpp_server": {"accounts": []}, "smsc_client": [operator], "bridge": [WAHA], "replies": [],
        "routes": [{"name": "all", "channels": ["zap", "one"], "fallback_after": "1m"}],
    }  # fmt: skip
    node = Standing(place, before)
    sender: Any = node.node.delivery.channels["zap"]
    assert not node.node._resends("one")
    node.read({**before, "country": "PT", "smsc_client": [{**operator, "unanswered": "resend"}]})
    assert node.node.delivery.channels["zap"] is sender
    assert node.node._resends("one")


def test_webhooks_are_wanted_again_until_their_channel_is_there(tmp_path: Path) -> None:
    """After a 404 the Evolution API tells nobody any more what became of a message."""
    document: Document = {
        "smpp_server": {"accounts": []}, "smsc_client": [], "replies": [],
        "bridge": [{"name": "zap", "provider": "evolution", "url": "http://127.0.0.1:8080", "api_key": "k",
                    "instance": "main"}],
        "routes": [{"name": "all", "channels": "zap"}],
    }  # fmt: skip
    path = tmp_path / "pombo.yaml"
    path.write_text(yaml.safe_dump({**document, "store": {"directory": str(tmp_path)}}))
    node = NodeInMemory(*load_as_written(path, {}), path, MemoryReactorClock())
    node.operators = {}
    node._build()
    taker, request = node._webhook_taker("zap"), HttpRequest("POST", "/webhooks/zap", (), b"{}")
    assert taker is not None
    with pytest.raises(StopIteration) as answered:
        taker(request).send(None)
    assert answered.value.value.status == 503
    assert node._webhook_taker("zap2") is None
    node.delivery.elsewhere = {"zap2": ChannelFacts("whatsapp"), "operator": ChannelFacts("smsc")}
    assert node._webhook_taker("zap2") == taker, "another node has it"
    assert node._webhook_taker("operator") is None
    node._furnish(1)
    assert node._webhook_taker("zap") == node.delivery.channels["zap"].receive_webhook  # type: ignore[attr-defined]


def test_a_change_of_one_channels_senders_leaves_the_other_channel_alone(place: Path) -> None:
    def document(*names: str) -> Document:
        many = {key: value for key, value in CLOUD.items() if key != "instance"}
        senders = [{"instance": str(number), "name": name} for number, name in enumerate(names)]
        return {
            "smpp_server": {"accounts": []}, "smsc_client": [], "replies": [],
            "bridge": [{**many, "name": "many", "senders": senders}, WAHA],
            "routes": [{"name": "all", "channels": ["many", "zap"], "fallback_after": "1m", "fallback": "none"}],
        }  # fmt: skip

    node = Standing(place, document("sales", "support"))
    assert node.node.channels is not None
    before: Any = dict(node.node.delivery.channels)
    assert node.read(document("sales", "support", "third")) == (["many"], [])
    after: Any = node.node.delivery.channels
    assert after["zap"] is before["zap"] and after["zap"].up
    assert list(after["many"].senders) == ["sales", "support", "third"] and after["many"].up
    members = [one for some in node.node.channels._circuits._members.values() for one in some]
    assert {id(one) for one in members} == {
        id(sender.condition) for channel in after.values() for sender in channel.senders.values()
    }, "nobody is closed with a sender that is no more"


def test_a_file_that_is_read_while_the_node_starts_waits_with_the_channels_until_it_has_some(place: Path) -> None:
    def document(*names: str) -> Document:
        operators = [
            {"name": name, "connect": "tcp:127.0.0.1:1", "system_id": "pombo", "password": PASSWORDS[0]}
            for name in names
        ]
        return {
            "smpp_server": {"accounts": []}, "smsc_client": operators,
            "routes": [{"name": "all", "channels": names[0]}],
            "store": {"url": "redis://127.0.0.1:1", "directory": str(place)},
        }  # fmt: skip

    path, clock = place / "pombo.yaml", MemoryReactorClock()
    path.write_text(yaml.safe_dump(document("one")))
    node = NodeInMemory(*load_as_written(path, {}), path, clock)
    node.operators = {}
    node.startService()  # and the store does not answer
    path.write_text(yaml.safe_dump(document("one", "two")))
    assert node.reload() == (["two"], [])
    clock.advance(0)
    assert node.background.failures == 0
    assert node.background.running == ("reload of channel two",)
