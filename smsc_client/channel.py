"""A channel to an operator: messages in, results and reports out, over one or more binds.

Satisfies delivery's Channel port. Everything here runs a read or a timer at a time: answers are gathered into one list,
submits into one write per link, because a call per message is what would cost most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import clientFromString
from twisted.logger import Logger

from config.schema import SmscSettings
from gateway.delivery.pacing import Rate
from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, AttemptResult, Inbound, Refused, Report, Uncertain, Unwritten
from gateway.metrics import Metrics
from gateway.smpp.constants import Tag
from gateway.smpp.events import Answered, AnsweredLate, Event, Received, Unanswered
from gateway.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter, Pdu, SubmitSmResp, tlv
from gateway.smpp.status import Verdict
from smsc_client import answers
from smsc_client.alarms import Alarms
from smsc_client.clock import Clock, Endpoint, Timer, cancel
from smsc_client.hand import Hand, Item, Parts, message_of
from smsc_client.link import Link
from smsc_client.outflow import Outflow
from smsc_client.reports import Incoming
from smsc_client.resends import Resends

MAX_WAITING = 10_000  # messages behind others to the same destination
FULL_RETRIES = 5  # of one message after ESME_RMSGQFUL: then it is the person's queue that is full
FULL_REST_S = 1.0
NEARLY_CONGESTED, CONGESTED = 90, 100  # congestion_state
STOP_S = 4.0
LATE = "answered after response_timeout"
UNBIND_S = 1.0  # of STOP_S, for the answer to our unbind

BINDS = {
    "transceiver": (BindTransceiver,),
    "transmitter": (BindTransmitter,),
    "transmitter_receiver": (BindTransmitter, BindReceiver),
}


class Results(Protocol):
    """What is needed of delivery's Results."""

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None: ...
    def answered_late(self, channel: str, message: Message, result: AttemptResult) -> None: ...
    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None: ...
    def capacity_changed(self, channel: str) -> None: ...


class SmscChannel:
    """kind "smsc". At most one submit_sm per destination is in flight, so that nothing overtakes on the way."""

    kind = "smsc"
    learn = None  # it has nothing to remember about numbers, unlike WhatsApp channels

    def __init__(
        self,
        settings: SmscSettings,
        *,
        results: Results,
        mark: Callable[[str], None],
        reactor: Clock,
        metrics: Metrics,
        random: Callable[[], float],
        endpoint: Endpoint | None = None,
    ) -> None:
        """mark: called with a message's id right before its octets are written. random: uniform in [0, 1).

        reactor: the clock, and what settings.connect needs of it. endpoint: where to connect instead of there.
        """
        self.settings = settings
        self.name = settings.name
        self.price = str(settings.price)
        self.inflight = 0
        self._results, self._clock, self._metrics, self._random = results, reactor, metrics, random
        self._log = Logger("smsc_client")
        self._alarms = Alarms(self.name, self._log)
        self._incoming = Incoming(self.name, results, self._log, settings.pass_tlvs or ())
        self._hand = Hand()
        self._full: dict[str, int] = {}  # message id: RMSGQFUL answers in a row
        self._last_full = ""  # who got the last one
        self._resends = Resends()
        self._ended: list[tuple[Message, AttemptResult]] = []
        self._stopping = self._was_up = self._in_turn = False
        self._soon: Timer | None = None
        endpoint = endpoint or clientFromString(reactor, settings.connect)
        kinds = [(number, bind) for number in range(settings.binds) for bind in BINDS[settings.bind]]
        self._links = [
            Link(
                settings,
                bind,
                self.name if len(kinds) == 1 else f"{self.name}[{number} {bind.__name__[4:].lower()}]",
                endpoint=endpoint,
                clock=reactor,
                random=random,
                owner=self,
                log=self._log,
            )
            for number, bind in kinds
        ]
        self._senders = [link for link in self._links if link.sends]
        self._outflow = Outflow(
            settings,
            self._hand,
            self._senders,
            mark=mark,
            end=self._end,
            woken=self._woken,
            clock=reactor,
            random=random,
            log=self._log,
        )

    # What delivery sees

    @property
    def up(self) -> bool:
        return any(link.bound for link in self._senders)

    @property
    def binds(self) -> int:
        return sum(link.bound for link in self._links)

    @property
    def rate(self) -> float:
        """Submits per second that the operator seems to allow, at most `throughput`."""
        return self._outflow.slowdown.rate

    def rates(self) -> list[Rate]:
        """What it shares with other nodes. See gateway.delivery.membership."""
        return [Rate(self.name, self.up, self.settings.throughput, self.take_share)]

    def take_share(self, share: float) -> None:
        """Of its `throughput`, this node's part from now on."""
        before = self._outflow.share
        self._outflow.take_share(share)
        if share > before and self.up:
            self._woken()

    def source_of(self, message: Message) -> str:
        """The source address the operator sees."""
        return message.source if self.settings.source is None else self.settings.source

    def capacity(self) -> int:
        """How many segments may be handed over now: what fits the windows and the rate of the next half second."""
        return 0 if self._stopping or self._hand.waiting >= MAX_WAITING else self._outflow.capacity()

    def is_busy(self, msisdn: str) -> bool:
        """Is a message to this number in the channel's hands?"""
        return self._hand.is_busy(msisdn)

    def send(self, message: Message) -> None:
        self.inflight += 1
        if self._hand.add(message) and not self._in_turn and self._soon is None:
            self._soon = self._clock.callLater(0, self._turn)

    def reconfigure(self, settings: SmscSettings) -> bool:
        """Go on with other settings. False, and nothing is changed: they need other binds, so another channel."""
        if any(getattr(settings, key) != getattr(self.settings, key) for key in SmscSettings.IN_BINDS):
            return False
        self.settings, self.price = settings, str(settings.price)
        self._outflow.configure(settings)
        self._incoming.passes = frozenset(settings.pass_tlvs or ())
        return True

    async def start(self) -> None:
        for link in self._links:
            link.start()

    async def stop(self) -> None:
        """Take nothing new, hand back what is not written, wait for answers for at most 3 s, unbind and close."""
        self._stopping = True
        self._give_back()
        stopped = DeferredList([link.stop(STOP_S - UNBIND_S) for link in self._links])
        limit = self._clock.callLater(STOP_S, self._abort)
        await stopped
        cancel(limit)
        cancel(self._soon)
        self._outflow.stop()
        self._give_back()

    def _give_back(self) -> None:
        self._ended += self._hand.empty("stopping")
        self._hand_in()

    def _abort(self) -> None:
        for link in self._links:
            link.abort()

    # What comes from the links

    def happened(self, link: Link, events: list[Event]) -> None:
        """Everything that one read, or one timer, brought on one link."""
        now = self._clock.seconds()
        ended, release = self._ended, self._hand.release
        received = []
        changed = False
        self._in_turn = True
        try:
            for event in events:
                if type(event) is Answered:
                    changed = True
                    item, response = event.context, event.response
                    if response.command_status == 0 and type(item) is Message and type(response) is SubmitSmResp:
                        ended.append((item, Accepted(response.message_id)))
                        release(item)
                        if response.tlvs:
                            self._congested(link, response, now)
                    else:
                        self._answered(link, item, response, now)  # type: ignore[arg-type]
                elif type(event) is Received:
                    received.append(event.pdu)
                elif type(event) is Unanswered:
                    changed = True
                    self._unanswered(event.context)  # type: ignore[arg-type]
                elif type(event) is AnsweredLate:
                    changed = True
                    self._answered_late(event.context, event.response)  # type: ignore[arg-type]
                else:
                    changed = True
                    link.noticed(event)
            if changed:
                self._advance(now)
            if received and link.protocol is not None:  # after the results: a receipt may name an id answered here
                self._incoming.take(link.protocol, received, now)
        finally:
            self._in_turn = False
        if changed:
            self._turn()

    def _advance(self, now: float) -> None:
        """Windows or the rate have changed: first what is in hand goes, then results go in, then news is asked for."""
        up = self.up
        if not up and self._was_up:
            self._ended += self._hand.empty("link_lost")
        self._was_up = up
        self._drain(now)
        self._hand_in()
        if up and self.capacity() > 0:
            self._results.capacity_changed(self.name)

    def _answered(self, link: Link, item: Item, response: Pdu, now: float) -> None:
        """Any answer but the plain yes to a message of one part."""
        message = message_of(item)
        tries = message.attempts[-1].tries if message.attempts else 0
        if response.command_status == 0:
            if type(item) is Parts and type(response) is SubmitSmResp:
                self._part_done(item, response.message_id)
            else:  # a generic_nack that says ESME_ROK
                self._end(item, answers.later(0, tries, self._random()))
            return
        result = answers.of_error(response, tries, self._random(), self.settings.status)
        if result is Verdict.THROTTLED:
            self._throttled(link, item, response, tries, now)
        elif isinstance(result, Verdict):  # of no use to anybody: the message stays first, for another bind
            self._hand.first.append(item)
            link.unbind()
        else:
            self._end(item, result)
        self._alarms.heed(response.command_status, self.settings.status)

    def _throttled(self, link: Link, item: Item, response: Pdu, tries: int, now: float) -> None:
        """The same message again; its destination stays busy, so nothing overtakes it.

        After ESME_RTHROTTLED it goes first. ESME_RMSGQFUL may mean one person's queue as well as ours: the message
        lets others pass for a second, does not slow them down over and over, and is given back in the end.
        """
        self._metrics.throttled(self.name)
        key, again = message_of(item).id, False
        full = response.command_status == answers.RMSGQFUL and answers.RMSGQFUL not in self.settings.status
        if full:
            again, self._last_full = key == self._last_full, key
        if not again:
            self._outflow.slow_down(link, response.sequence_number, now)
        if not full:
            self._hand.first.append(item)
            return
        times = self._full[key] = self._full.get(key, 0) + 1
        if times > FULL_RETRIES:
            self._end(item, answers.later(answers.RMSGQFUL, tries + 1, self._random()))
        else:
            self._hand.rest(item)
            self._clock.callLater(FULL_REST_S, lambda: self._roused(key))

    def _congested(self, link: Link, response: SubmitSmResp, now: float) -> None:
        """congestion_state, 0 to 100, beside a plain yes. Source: SMPP 5.0, 4.8.4.18."""
        state = tlv(response, Tag.CONGESTION_STATE)
        if state and state[0] >= NEARLY_CONGESTED:
            self._outflow.slow_down(link, response.sequence_number, now, mildly=state[0] < CONGESTED)

    def _roused(self, message_id: str) -> None:
        if self._hand.rouse(message_id):
            self._turn()

    def _unanswered(self, item: Item) -> None:
        if self.settings.unanswered == "resend" and self._resends.allow(message_of(item).id):
            self._hand.first.append(item)
        elif type(item) is Parts:
            item.uncertain = True
            self._part_done(item, "")
        else:
            self._end(item, Uncertain("unanswered"))

    def _answered_late(self, item: Item, response: Pdu) -> None:
        """The answer to a submit_sm that was given up: what was to be sent again is not, and what is held has its
        result. Of a long text only all its answers together are one, or a refusal for good."""
        message, status = message_of(item), response.command_status
        result: AttemptResult
        if status:
            tries = message.attempts[-1].tries if message.attempts else 0
            told = answers.of_error(response, tries, self._random(), self.settings.status)
            result = answers.later(status, tries, self._random()) if isinstance(told, Verdict) else told
            self._alarms.heed(status, self.settings.status)
            if type(item) is Parts and (item.left or type(result) is not Refused):
                return
        elif type(item) is Parts:
            item.named_late(response.message_id)  # type: ignore[attr-defined]
            if item.left or item.uncertain:
                return
            result = Accepted(item.remote_id, note=LATE)
        else:
            result = Accepted(response.message_id, note=LATE)  # type: ignore[attr-defined]
            if self.settings.unanswered == "resend" and self._hand.take_back(item):
                self._end(item, result)
                return
        self._results.answered_late(self.name, message, result)

    def _part_done(self, parts: Parts, remote_id: str) -> None:
        parts.left.popleft()
        parts.ids.append(remote_id)
        if parts.left:
            self._hand.first.append(parts)
        else:
            self._end(parts, Uncertain("unanswered") if parts.uncertain else Accepted(parts.remote_id))

    def _end(self, item: Item, result: AttemptResult) -> None:
        if type(item) is Parts and item.left and not isinstance(result, Refused):
            self._hand.keep_started(item)
        message = message_of(item)
        self._ended.append((message, result))
        self._hand.release(message)

    def _hand_in(self) -> None:
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        self.inflight -= len(ended)
        if self._full or self._resends:
            for message, result in ended:
                self._full.pop(message.id, None)
                if type(result) is not Unwritten:
                    self._resends.forget(message.id)
        self._results.attempted(self.name, ended)

    # What goes out

    def _turn(self) -> None:
        """Once per reactor turn in which something was handed over."""
        cancel(self._soon)
        self._soon = None
        self._drain(self._clock.seconds())
        self._hand_in()

    def _woken(self) -> None:
        """The rate allows something again."""
        self._in_turn = True
        try:
            self._advance(self._clock.seconds())
        finally:
            self._in_turn = False
        self._turn()

    def _drain(self, now: float) -> None:
        if len(self._hand) and not self.up:
            self._ended += self._hand.empty("link_lost")
        self._outflow.drain(now)
