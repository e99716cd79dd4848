"""From the text of a billing system to what the official service lets us say: free text, an approved template, or
Direct Send. Pure.

Sources: Cloud API, "Template messages", "Customer service windows", "Time-to-live", "Direct Send".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter

import msgspec

from gateway.messages.directive import rendered

WINDOW_S = 24 * 3600.0  # after a person wrote to us any text may go to them
EARLY_S = 300.0  # our clock and Meta's need not agree
WINDOW_CLOSED = "131047"  # the service's code for a free text outside of the window
PAIR_RATE, PAIR_S = "131056", 6.0  # its code for too many messages from one sender to one person: one in so long
NO_MARKETING_S = {"131049": 24 * 3600.0, "131050": 400 * 86_400.0}  # after these codes: held back; the person said stop
MOST_FREE = 4096  # characters of a free text
MOST_RENDERED = 1024  # characters of a template's body with its parameters, and of a Direct Send
TTL_S = (30.0, 43_200.0)  # of a utility message
AUTHENTICATION = "authentication"  # the only category that may carry one-time codes: fixed text, the code, one button
MOST_CODE = 15  # characters of such a code
CODE_TTL_S = 600.0  # of an authentication template that sets none

EMPTY = "-"  # in the place of a parameter that has nothing in it

_WHITE = re.compile(r"\r\n|[\x00-\x1f\x7f\x85\u2028\u2029]")
_WIDE = re.compile(r"\s{5,}")
_formatter = Formatter()


class FreeText(msgspec.Struct, frozen=True):
    """A text as it is; only while the window is open."""

    text: str


class TemplateText(msgspec.Struct, frozen=True):
    """An approved template and the parameters of its body, in order: (name, text), "" where it has numbers for names.

    ttl: seconds after which Meta gives up, as the template has it; 0: not known.
    """

    name: str
    language: str
    parameters: tuple[tuple[str, str], ...] = ()
    ttl: float = 0.0
    category: str = "utility"  # utility | authentication | marketing


class DirectText(msgspec.Struct, frozen=True):
    """A utility text without a template, where Meta enabled that. ttl: seconds."""

    text: str
    ttl: float


Form = FreeText | TemplateText | DirectText


class Template(msgspec.Struct, frozen=True):
    """One entry of `templates`. pattern: for fullmatch, None where it is only sent by name. body: texts with {group},
    in order or by parameter name. text: what was approved, with {{1}} or {{name}}, "" where nobody told."""

    name: str
    language: str
    pattern: re.Pattern[str] | None
    body: tuple[str, ...] | Mapping[str, str] = ()
    ttl: float = 0.0
    text: str = ""
    category: str = "utility"

    def fill(self, text: str) -> TemplateText | None:
        """The template with its parameters taken from a text; None where it does not match, or cannot hold it."""
        found = self.pattern.fullmatch(text) if self.pattern is not None else None
        if found is None:
            return None
        groups = found.groupdict(default="")
        named = self.body.items() if isinstance(self.body, Mapping) else (("", entry) for entry in self.body)
        return self._with(tuple((name, clean(_filled(entry, groups))) for name, entry in named))

    def named(self, values: Sequence[str]) -> TemplateText | None:
        """The template with these parameters, in the order of its body; None where it does not take so many, or cannot
        hold them. A template without a match and a body takes any number."""
        if (self.pattern is not None or self.body) and len(values) != len(self.body):
            return None
        names = list(self.body) if isinstance(self.body, Mapping) else [""] * len(values)
        return self._with(tuple((name, clean(value)) for name, value in zip(names, values, strict=True)))

    def _with(self, parameters: tuple[tuple[str, str], ...]) -> TemplateText | None:
        # Without the text around them this much is known of the length: it is no less.
        length = sum(len(value) for _, value in parameters)
        if self.text:
            length = len(rendered(self.text, parameters))
        if length > MOST_RENDERED or not self._holds_code(parameters):
            return None
        ttl = self.ttl or (CODE_TTL_S if self.category == AUTHENTICATION else 0.0)
        return TemplateText(self.name, self.language, parameters, ttl, self.category)

    def _holds_code(self, parameters: Sequence[tuple[str, str]]) -> bool:
        """Of an authentication template: is its one parameter a code that it can carry?"""
        if self.category != AUTHENTICATION:
            return True
        return len(parameters) == 1 and parameters[0][1] != EMPTY and len(parameters[0][1]) <= MOST_CODE


def choose(
    text: str, templates: Iterable[Template], *, window_open: bool, direct_send: bool, ttl: float
) -> Form | None:
    """In which form a text may go; None: in none. ttl: how long a Direct Send may live."""
    if not text.strip():
        return None
    if window_open and len(text) <= MOST_FREE:
        return FreeText(text)
    for template in templates:
        filled = template.fill(text)
        if filled is not None:
            return filled
    if direct_send and len(text) <= MOST_RENDERED:
        return DirectText(text, min(max(ttl, TTL_S[0]), TTL_S[1]))
    return None


def clean(value: str) -> str:
    """A parameter as the service takes it: no line break, no tab, no more than four spaces in a row, never empty."""
    return _WIDE.sub(" ", _WHITE.sub(" ", value)).strip() or EMPTY


def _filled(entry: str, groups: Mapping[str, str]) -> str:
    """`{name}` replaced, and nothing else of what str.format knows: the text comes from outside."""
    parts = _formatter.parse(entry)
    return "".join(literal + (groups.get(name, "") if name is not None else "") for literal, name, _, _ in parts)
