from __future__ import annotations

from pathlib import Path

import pytest

from tools.node import Node, NodeError, config_path, store_settings, url_of


@pytest.mark.parametrize(
    ("listeners", "url"),
    [
        (("tcp:8081:interface=127.0.0.1",), "http://127.0.0.1:8081"),
        (("tcp:8081",), "http://127.0.0.1:8081"),
        (("tcp:port=8081:interface=0.0.0.0",), "http://127.0.0.1:8081"),
        (("tcp:8081:interface=10.0.0.7",), "http://10.0.0.7:8081"),
        ((r"tcp6:8081:interface=\:\:1",), "http://[::1]:8081"),
        (("unix:/run/pombo.sock", "ssl:8443:privateKey=k.pem:interface=127.0.0.1"), "https://127.0.0.1:8443"),
    ],
)
def test_the_listener_says_where_to_ask(listeners: tuple[str, ...], url: str) -> None:
    assert url_of(listeners) == url


def test_without_a_tcp_listener_nothing_can_be_asked() -> None:
    with pytest.raises(NodeError, match="no TCP listener"):
        url_of(("unix:/run/pombo.sock",))


def test_the_configuration_is_the_one_named() -> None:
    assert config_path({}) == "config/pombo.yaml"
    assert config_path({"POMBO_CONFIG": "/etc/a.yaml"}) == "/etc/a.yaml"
    assert config_path({"POMBO_CONFIG": "/etc/a.yaml"}, "b.yaml") == "b.yaml"


def test_away_from_a_checkout_the_configuration_of_the_service_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    service = tmp_path / "etc.yaml"
    assert config_path({}, system=str(service)) == "config/pombo.yaml"
    service.write_text("")
    assert config_path({}, system=str(service)) == str(service)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/pombo.yaml").write_text("")
    assert config_path({}, system=str(service)) == "config/pombo.yaml"


def write(directory: Path, text: str) -> str:
    path = directory / "pombo.yaml"
    path.write_text(text)
    return str(path)


def test_only_the_sections_asked_for_must_be_readable(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "http: {listen: ['tcp:9001:interface=127.0.0.1'], admin_token: '${TOKEN}'}\n"
        "store: {directory: elsewhere}\n"
        "smpp_server: {accounts: [{system_id: a, password: '${NOT_SET_HERE}'}]}\n",
    )
    node = Node.find({"TOKEN": "t0ken"}, path)
    assert node.url == "http://127.0.0.1:9001" and "t0ken" not in repr(node)
    assert store_settings({}, path).directory == "elsewhere"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "http: {admin_token: '${TOKEN}'}",
            "pombo.yaml:1: http.admin_token: the environment variable TOKEN is not set",
        ),
        ("http: {listen: 7}", "http"),
        ("- a list", "mapping"),
    ],
)
def test_a_section_that_cannot_be_read_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(NodeError, match=says) as raised:
        Node.find({}, write(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_a_node_that_is_not_there_is_one_line() -> None:
    with pytest.raises(NodeError, match="cannot be reached"):
        Node("http://127.0.0.1:9").status()
