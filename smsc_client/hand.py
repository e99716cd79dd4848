"""The messages a channel has in its hands and has not written, in order per destination."""

from __future__ import annotations

from collections import deque

from gateway.messages.message import Message
from gateway.messages.outcome import AttemptResult, Uncertain, Unwritten
from gateway.smpp.pdu import SubmitSm

MAX_STARTED = 10_000  # long texts remembered after some of their parts have gone; the oldest go first


class Parts:
    """A text that takes several submit_sm: one at a time, each after the answer to the one before."""

    __slots__ = ("ids", "left", "message", "uncertain")

    def __init__(self, message: Message, pdus: list[SubmitSm]) -> None:
        self.message, self.left = message, deque(pdus)
        self.ids: list[str] = []  # what the operator called the parts that it took; "" where it gave no name
        self.uncertain = False  # some part was not answered

    @property
    def started(self) -> bool:
        return self.uncertain or bool(self.ids)

    @property
    def remote_id(self) -> str:
        """The operator's ids of the parts, as one."""
        return ",".join(filter(None, self.ids))

    def named_late(self, remote_id: str) -> None:
        """A part that was not answered in time has its answer."""
        if "" in self.ids:
            self.ids[self.ids.index("")] = remote_id
        self.uncertain = self.uncertain and "" in self.ids


Item = Message | Parts
"""What waits for its turn; later the context of a submit_sm."""


class Hand:
    """Who may be written next. A destination is busy from `add` to `release`; what comes for it meanwhile waits."""

    def __init__(self) -> None:
        self.first: deque[Item] = deque()  # before `ready`: retries, further parts, what waited for a destination
        self.ready: deque[Item] = deque()
        self.resting: dict[str, Item] = {}  # message id: what may not be written for a moment
        self.waiting = 0  # messages behind others to their destination
        self._lanes: dict[str, deque[Message] | None] = {}  # busy destinations, and what waits for each
        self._started: dict[str, Parts] = {}

    def __len__(self) -> int:
        """Items that could be written now, if windows and rate allow."""
        return len(self.first) + len(self.ready)

    def is_busy(self, msisdn: str) -> bool:
        """Is a message to this destination on its way, or waiting here?"""
        return msisdn in self._lanes

    def add(self, message: Message) -> bool:
        """Take a message. False: its destination is busy and it waits."""
        lanes, msisdn = self._lanes, message.msisdn
        if msisdn not in lanes:
            lanes[msisdn] = None
            self.ready.append(message)
            return True
        lane = lanes[msisdn]
        if lane is None:
            lanes[msisdn] = deque((message,))
        else:
            lane.append(message)
        self.waiting += 1
        return False

    def release(self, message: Message) -> None:
        """The message at its destination's head has ended; the next one there goes before everything new."""
        msisdn = message.msisdn
        lane = self._lanes[msisdn]
        if lane:
            self.first.append(lane.popleft())
            self.waiting -= 1
        else:
            del self._lanes[msisdn]

    def rest(self, item: Item) -> None:
        """Not now; its destination stays busy. `rouse` ends it."""
        self.resting[message_of(item).id] = item

    def rouse(self, message_id: str) -> bool:
        """Back behind the others; False when it has been handed back meanwhile."""
        item = self.resting.pop(message_id, None)
        if item is not None:
            self.ready.append(item)
        return item is not None

    def take_back(self, item: Item) -> bool:
        """It need not be written any more; False when it is not waiting here. Its destination stays busy."""
        for queue in (self.first, self.ready):
            for at, one in enumerate(queue):
                if one is item:
                    del queue[at]
                    return True
        return False

    def parts(self, message: Message, pdus: list[SubmitSm]) -> Parts:
        """The parts of a long text, those left out that went when the message was here before."""
        return self._started.pop(message.id, None) or Parts(message, pdus)

    def keep_started(self, item: Item) -> None:
        """A long text goes back with some parts sent: remember them, so that none of them goes twice."""
        if type(item) is Parts and item.started:
            if len(self._started) >= MAX_STARTED:
                del self._started[next(iter(self._started))]
            self._started[item.message.id] = item

    def empty(self, reason: str) -> list[tuple[Message, AttemptResult]]:
        """Everything back, as results: the last first, as each goes to the front of the channel's queue."""
        back: list[tuple[Message, AttemptResult]] = []
        unwritten = Unwritten(reason)
        heads = [*self.first, *self.resting.values(), *self.ready]
        self.resting.clear()
        self.first.clear()
        self.ready.clear()
        for item in heads:
            message = message_of(item)
            if type(item) is Parts and item.uncertain:
                back.append((message, Uncertain("unanswered")))
            else:
                self.keep_started(item)
                back.append((message, unwritten))
        for msisdn, lane in self._lanes.items():
            if lane:
                back.extend((message, unwritten) for message in lane)
                self._lanes[msisdn] = None
        self.waiting = 0
        for item in heads:
            del self._lanes[message_of(item).msisdn]
        back.reverse()
        return back


def message_of(item: Item) -> Message:
    return item.message if type(item) is Parts else item  # type: ignore[return-value]
