"""Accounts that may name a template in the text itself: what WhatsApp is told, and what goes by SMS instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.logger import Logger

from gateway.messages.directive import ESCAPED, Directive, parse, rendered, shares
from gateway.messages.message import Message

UDHI = 0x40
SHORT = 140  # octets of a text that needs no message_payload
log = Logger("directives")

Came = tuple[bytes, int]  # user data and segments as they were submitted


class Directives:
    """Applied once, before a message is kept: its `template` is what was named, its text what stands behind it."""

    def __init__(
        self,
        *,
        text_of: Callable[[Message], str | None],
        choose: Callable[[str], tuple[int, bytes]],
        retext: Callable[[Message, str], bytes],
        count: Callable[[Message], int],
        is_whatsapp: Callable[[str], bool],
    ) -> None:
        """choose: (data_coding, octets) of a text. retext: a message's user data with another text, same header, same
        coding; UnicodeEncodeError where that cannot be. count: segments of a message."""
        self._text_of, self._choose, self._retext, self._count = text_of, choose, retext, count
        self._is_whatsapp = is_whatsapp
        self.accounts: frozenset[str] = frozenset()
        self.texts: Mapping[str, str] = {}  # template -> its text with {{1}}, where the configuration has it

    def apply(self, message: Message) -> Came | None:
        """To a message that is whole. Returns how it came, where nothing is left of it that SMS could say."""
        text = self._text_of(message)
        if text is None:
            return None
        if text.startswith(ESCAPED):
            self._say(message, text[1:])
        elif (named := parse(text)) is not None:
            message.template = (named.template, *named.parameters)
            if said := self._instead(named):
                self._say(message, said)
            else:
                came = (message.user_data, message.segments)
                message.user_data, message.segments = b"", 1
                return came
        return None

    def without_sms(self, message: Message, plan: tuple[str, ...], came: Came) -> tuple[str, ...]:
        """The plan of a message that says nothing by SMS. A plan of nothing else takes it as it came."""
        only = self._of_whatsapp(plan)
        if only:
            return only
        message.template, (message.user_data, message.segments) = (), came
        return plan

    def _of_whatsapp(self, plan: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in plan if self._is_whatsapp(name))

    def apply_joined(self, text: Message, joined: str, parts: Sequence[Message]) -> None:
        """To the joined text of parts: what is left of it is shared out among them again, for SMS."""
        if joined.startswith(ESCAPED):
            said = joined[1:]
        elif (named := parse(joined)) is not None:
            text.template = (named.template, *named.parameters)
            said = self._instead(named)
        else:
            return
        text.user_data = said.encode("utf-16-be", "surrogatepass")
        if not said:
            text.plan = self._of_whatsapp(text.plan)  # it begins with one, or nothing had been joined
            for one in parts:
                one.plan = text.plan
            return
        numbers = sorted({one.part.number for one in parts if one.part is not None})
        share = dict(zip(numbers, shares(said, len(numbers)), strict=True))
        try:
            cut = [(one, self._retext(one, share[one.part.number])) for one in parts if one.part is not None]
        except UnicodeEncodeError:
            log.warn("{account}: the parts of a text with a directive go by SMS as they came", account=text.account)
            return
        for one, user_data in cut:
            one.user_data = user_data

    def _instead(self, named: Directive) -> str:
        """What is said where the template cannot go."""
        if named.rest:
            return named.rest
        known = self.texts.get(named.template, "")
        return rendered(known, [("", value) for value in named.parameters])

    def _say(self, message: Message, text: str) -> None:
        message.data_coding, message.user_data = self._choose(text)
        message.alphabet, message.esm_class = "gsm7", message.esm_class & ~UDHI
        message.in_payload = len(message.user_data) > SHORT
        message.segments = self._count(message)
