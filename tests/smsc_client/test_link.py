"""Connecting, binding, losing the bind and coming back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from config.schema import ReconnectSettings
from gateway.messages.outcome import Accepted
from gateway.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter
from tests.smsc_client.stage import Stage, message


@pytest.mark.parametrize(
    ("bind", "kinds", "binds"),
    [
        ("transceiver", [BindTransceiver], 1),
        ("transmitter", [BindTransmitter], 1),
        ("transmitter_receiver", [BindTransmitter, BindReceiver], 2),
    ],
)
def test_the_binds_are_those_configured(bind: str, kinds: list[type], binds: int) -> None:
    stage = Stage(bind=bind)
    assert [type(one) for one in stage.smsc.binds] == kinds
    assert stage.channel.binds == binds
    stage.send(message(1))
    assert stage.outcomes == [Accepted("1")]


def test_a_channel_with_its_receiver_alone_is_down() -> None:
    stage = Stage(bind="transmitter_receiver", reconnect=ReconnectSettings(initial=100.0, max=100.0))
    stage.smsc.drop(at=0)
    assert (stage.channel.up, stage.channel.binds, stage.channel.capacity()) == (False, 1, 0)


def test_a_lost_link_is_bound_again_after_the_backoff() -> None:
    stage = Stage()
    stage.smsc.drop()
    stage.run(0.99, step=0.01)
    assert not stage.channel.up
    stage.run(0.02, step=0.01)
    assert stage.channel.up
    stage.smsc.drop()
    stage.run(1.5, step=0.01)
    assert not stage.channel.up  # it did not last a minute: two seconds this time
    stage.run(62, step=0.1)
    stage.smsc.drop()
    stage.run(1.1, step=0.01)
    assert stage.channel.up


def test_capacity_is_announced_when_the_link_is_bound() -> None:
    stage = Stage(start=False)
    stage.queue.append(message(1))
    stage.start()
    assert stage.outcomes == [Accepted("1")]


def test_a_link_that_is_down_for_an_hour_tries_seldom_and_logs_less(lines: list[dict[str, Any]]) -> None:
    stage = Stage(start=False)
    stage.smsc.endpoint.refusing = True
    stage.start()
    stage.run(3600, step=1.0)
    assert 55 < len(stage.smsc.endpoint.tries) < 80
    assert len(lines) <= 2
    stage.smsc.endpoint.refusing = False
    stage.run(61, step=1.0)
    assert stage.channel.up


def test_a_refused_bind_is_tried_seldom_and_logged_without_the_password(lines: list[dict[str, Any]]) -> None:
    stage = Stage(start=False)
    stage.smsc.bind_status = 0x0E
    stage.start()
    stage.run(600, step=0.5)
    assert len(stage.smsc.binds) == 5  # at 0, 30, 90, 210, 450 s
    text = " ".join(str(line) for line in lines)
    assert "0x{status" not in text and "0x0E" in text
    assert "secret12" not in text
    assert [line["log_level"].name for line in lines] == ["error"]
    stage.smsc.bind_status = 0
    stage.run(301, step=0.5)
    assert stage.channel.up


def test_an_operator_that_still_counts_us_as_bound_is_asked_again_after_a_minute(lines: list[dict[str, Any]]) -> None:
    stage = Stage(start=False)
    stage.smsc.bind_status = 0x05
    stage.start()
    stage.run(59, step=0.5)
    assert len(stage.smsc.binds) == 1
    stage.smsc.bind_status = 0
    stage.run(15, step=0.5)
    assert stage.channel.up
    assert {line["log_level"].name for line in lines} == {"warn", "info"}


def test_a_bind_that_lasted_a_minute_forgets_the_refusals_before_it() -> None:
    stage = Stage(start=False)
    stage.smsc.bind_status = 0x0E
    stage.start()
    stage.run(100, step=0.5)  # refused at 0, 30 and 90 s: the next wait would be two minutes
    stage.smsc.bind_status = 0
    stage.run(120, step=0.5)
    assert stage.channel.up
    stage.run(61, step=0.5)
    stage.smsc.bind_status = 0x0E
    stage.smsc.drop()
    stage.run(1.1, step=0.05)
    tries = len(stage.smsc.binds)
    stage.run(29.8, step=0.1)
    assert len(stage.smsc.binds) == tries
    stage.run(0.4, step=0.1)
    assert len(stage.smsc.binds) == tries + 1


def test_a_short_maximum_shortens_the_waits_after_a_refused_bind_too() -> None:
    stage = Stage(start=False, reconnect=ReconnectSettings(initial=0.2, max=2.0))
    stage.smsc.bind_status = 0x0F
    stage.start()
    stage.run(60, step=0.01)
    tries = stage.smsc.endpoint.tries
    assert max(b - a for a, b in pairwise(tries)) <= 10.1


def test_an_operator_that_falls_silent_is_noticed_by_enquire_link() -> None:
    stage = Stage(enquire_link=10.0, response_timeout=5.0)
    stage.smsc.silent = True
    stage.run(14.9, step=0.1)
    assert stage.channel.up
    stage.run(0.3, step=0.1)
    assert not stage.channel.up


def test_an_idle_link_stays_bound() -> None:
    stage = Stage()
    stage.run(600, step=1.0)
    assert stage.channel.up
    assert len(stage.smsc.binds) == 1


def test_an_operator_that_unbinds_is_bound_again() -> None:
    stage = Stage()
    server = stage.smsc.sessions[0]
    server.session.unbind(stage.clock.seconds())
    server._flush()
    stage.run(0.1)
    assert not stage.channel.up
    stage.run(2, step=0.01)
    assert stage.channel.up
    assert len(stage.smsc.binds) == 2


def test_one_of_two_links_lost_leaves_the_channel_up_and_its_messages_uncertain() -> None:
    stage = Stage(lambda pdu, now: None, binds=2)
    stage.send(message(1), message(2))
    stage.smsc.drop(at=0)
    assert stage.channel.up
    assert len(stage.results) == 1
    assert stage.channel.inflight == 1
