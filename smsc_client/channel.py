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
from gateway.delivery.pacing import Pacer
from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, AttemptResult, Inbound, Refused, Report, Uncertain, Unwritten
from gateway.metrics import Metrics
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.events import Answered, Event, Received, Unanswered
from gateway.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter, Pdu, SubmitSmResp
from gateway.smpp.status import Verdict, needs_attention
from smsc_client import answers
from smsc_client.clock import Clock, Endpoint, Timer, cancel
from smsc_client.hand import Hand, Item, Parts, message_of
from smsc_client.link import Link
from smsc_client.outbound import Outbound
from smsc_client.references import References
from smsc_client.reports import Incoming
from smsc_client.slowdown import Slowdown

AHEAD_S = 0.05  # of the rate: taken into hand early, so that what may leave next is here when it may
BATCH_S = 0.005  # of the rate: as much as a timer waits for
MAX_WAITING = 10_000  # messages behind others to the same destination
FULL_RETRIES = 5  # of ESME_RMSGQFUL in a row: then it is the person's queue that is full, and others should go on
STOP_S = 5.0

BINDS = {
    "transceiver": (BindTransceiver,),
    "transmitter": (BindTransmitter,),
    "transmitter_receiver": (BindTransmitter, BindReceiver),
}
_IN_BINDS = (
    "name", "connect", "system_id", "password", "system_type", "bind", "binds", "window", "response_timeout",
    "enquire_link", "reconnect",
)  # fmt: skip


class Results(Protocol):
    """What is needed of delivery's Results."""

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None: ...
    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None: ...
    def capacity_changed(self, channel: str) -> None: ...


class SmscChannel:
    """kind "smsc". At most one submit_sm per destination is in flight, so that nothing overtakes on the way."""

    kind = "smsc"

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
        self._results, self._mark, self._clock, self._metrics, self._random = results, mark, reactor, metrics, random
        self._log = Logger("smsc_client")
        self._references = References(random)
        self._outbound = Outbound(settings, self._references)
        self._incoming = Incoming(self.name, results, self._log)
        self._slowdown = Slowdown(settings.throughput)
        self._pacer = Pacer(settings.throughput, reactor.seconds())
        self._hand = Hand()
        self._prepaid: Item | None = None
        self._full: dict[str, int] = {}  # message id: RMSGQFUL answers in a row
        self._ended: list[tuple[Message, AttemptResult]] = []
        self._alarmed: set[int] = set()
        self._stopping = self._was_up = self._in_turn = False
        self._soon: Timer | None = None
        self._wake: Timer | None = None
        endpoint = endpoint or clientFromString(reactor, settings.connect)  # type: ignore[no-untyped-call]
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
        return self._slowdown.rate

    def source_of(self, message: Message) -> str:
        """The source address the operator sees."""
        return message.source if self.settings.source is None else self.settings.source

    def capacity(self) -> int:
        """How many segments may be handed over now: what fits the windows and the rate of the next 50 ms."""
        now = self._clock.seconds()
        if self._stopping or now < self._slowdown.paused_until or self._hand.waiting >= MAX_WAITING:
            return 0
        free = 0
        for link in self._senders:
            free += link.free
        if free <= 0:
            return 0
        due = self._pacer.available(now) + max(1, int(self._slowdown.rate * AHEAD_S))
        return max(0, min(free, due) - len(self._hand))

    def send(self, message: Message) -> None:
        self.inflight += 1
        if self._hand.add(message) and not self._in_turn and self._soon is None:
            self._soon = self._clock.callLater(0, self._turn)

    def reconfigure(self, settings: SmscSettings) -> bool:
        """Go on with other settings. False, and nothing is changed: they need other binds, so another channel."""
        if any(getattr(settings, key) != getattr(self.settings, key) for key in _IN_BINDS):
            return False
        if settings.throughput != self.settings.throughput:
            self._slowdown = Slowdown(settings.throughput)
            self._pacer.set_rate(settings.throughput)
        self.settings, self.price = settings, str(settings.price)
        self._outbound = Outbound(settings, self._references)
        return True

    async def start(self) -> None:
        for link in self._links:
            link.start()

    async def stop(self) -> None:
        """Take nothing new, hand back what is not written, wait for answers for at most 5 s, unbind and close."""
        self._stopping = True
        self._ended += self._hand.empty("stopping")
        self._hand_in()
        stopped = DeferredList([link.stop() for link in self._links])
        limit = self._clock.callLater(min(STOP_S, self.settings.response_timeout), self._abort)
        await stopped
        for timer in (limit, self._soon, self._wake):
            cancel(timer)

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
                    else:
                        self._answered(link, item, response, now)  # type: ignore[arg-type]
                elif type(event) is Received:
                    received.append(event.pdu)
                elif type(event) is Unanswered:
                    changed = True
                    self._unanswered(event.context)  # type: ignore[arg-type]
                else:
                    changed = True
                    link.noticed(event)
            if received and link.protocol is not None:
                self._incoming.take(link.protocol, received, now)
            if changed:
                self._advance(now)
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
        result = answers.of_error(response, tries, self._random())
        if result is Verdict.THROTTLED:
            self._throttled(link, item, response, tries, now)
        elif isinstance(result, Verdict):  # of no use to anybody: the message stays first, for another bind
            self._hand.first.append(item)
            link.unbind()
        else:
            self._end(item, result)
        if needs_attention(response.command_status) and response.command_status not in self._alarmed:
            self._alarmed.add(response.command_status)
            what = "{channel}: submit_sm refused with command_status 0x{status:02X}; its settings need attention"
            self._log.error(what, channel=self.name, status=response.command_status)

    def _throttled(self, link: Link, item: Item, response: Pdu, tries: int, now: float) -> None:
        """The same message again, and first; its destination stays busy, so nothing overtakes it."""
        self._metrics.throttled(self.name)
        if response.sequence_number > link.slow_sequence:
            for sender in self._senders:
                sender.slow_sequence = sender.last_sequence
            self._slowdown.throttled(now)
            self._pacer.set_rate(self._slowdown.rate)
        if response.command_status == answers.RMSGQFUL:
            key = message_of(item).id
            times = self._full[key] = self._full.get(key, 0) + 1
            if times > FULL_RETRIES:
                self._end(item, answers.later(answers.RMSGQFUL, tries + 1, self._random()))
                return
        self._hand.first.append(item)

    def _unanswered(self, item: Item) -> None:
        if self.settings.unanswered == "resend":
            self._hand.first.append(item)
        elif type(item) is Parts:
            item.uncertain = True
            self._part_done(item, "")
        else:
            self._end(item, Uncertain("unanswered"))

    def _part_done(self, parts: Parts, remote_id: str) -> None:
        parts.left.popleft()
        if remote_id:
            parts.ids.append(remote_id)
        if parts.left:
            self._hand.first.append(parts)
        else:
            self._end(parts, Uncertain("unanswered") if parts.uncertain else Accepted(",".join(parts.ids)))

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
        if self._full:
            for message, _ in ended:
                self._full.pop(message.id, None)
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
        self._wake = None
        self._in_turn = True
        try:
            self._advance(self._clock.seconds())
        finally:
            self._in_turn = False
        self._turn()

    def _drain(self, now: float) -> None:
        """Write as much of what is in hand as windows and rate allow: one write per link."""
        slowdown, hand = self._slowdown, self._hand
        if now >= slowdown.due:
            slowdown.update(now)
            self._pacer.set_rate(slowdown.rate)
        links = [link for link in self._senders if link.free > 0]
        if links and now >= slowdown.paused_until and (hand.first or hand.ready):
            self._write(links, self._pacer.available(now), now)
        elif len(hand) and not self.up:
            self._ended += hand.empty("link_lost")
        for link in self._senders:
            if link.protocol is not None:
                link.protocol.flush()
        if links and not self._stopping:
            self._sleep(now)

    def _write(self, links: list[Link], allowed: int, now: float) -> None:
        hand, submit_sm, mark = self._hand, self._outbound.submit_sm, self._mark
        first, ready = hand.first, hand.ready
        room = [link.free for link in links]
        turn = taken = 0
        while taken < allowed and links:
            queue = first or ready
            if not queue:
                break
            item = queue[0]
            if type(item) is Parts:
                message, pdu = item.message, item.left[0]
            else:
                message = item  # type: ignore[assignment]
                if message.final or message.expires_at <= now:
                    queue.popleft()
                    self._end(item, Unwritten("over"))
                    continue
                built = submit_sm(message, now)
                if type(built) is list:
                    queue[0] = hand.parts(message, built)
                    continue
                if message.segments > 1 and item is not self._prepaid:
                    # Counted by the operator as several: the others are paid for before it leaves.
                    self._pacer.take(taken + message.segments - 1, now)
                    self._prepaid, taken, allowed = item, 0, self._pacer.available(now)
                    continue
                pdu = built  # type: ignore[assignment]
            at = turn % len(links)
            link = links[at]
            queue.popleft()
            try:
                link.last_sequence = link.protocol.session.request(pdu, now, item)  # type: ignore[union-attr]
            except LocalProtocolError as error:
                self._log.error("{channel}: a message does not fit submit_sm: {why}", channel=self.name, why=str(error))
                self._end(item, Refused(reason="invalid", rejected=True))
                continue
            mark(message.id)
            taken += 1
            turn += 1
            room[at] -= 1
            if not room[at]:
                del links[at], room[at]
        if taken:
            self._pacer.take(taken, now)

    def _sleep(self, now: float) -> None:
        """Come back when the rate allows more."""
        if now < self._slowdown.paused_until:
            at = self._slowdown.paused_until
        elif len(self._hand) or self._pacer.available(now) <= 0:
            at = self._pacer.next_at(now, max(1, int(self._slowdown.rate * BATCH_S)))
        else:
            return
        if self._wake is not None:
            if self._wake.getTime() <= at:
                return
            self._wake.cancel()
        self._wake = self._clock.callLater(max(0.0, at - now), self._woken)
