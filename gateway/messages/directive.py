"""A template that is named in the text itself, as some billing systems type it. Pure.

    template=fatura_vencimento
    param=Ana
    param=R$ 120,00
                                    an empty line may stand here
    Ola Ana, sua fatura ...         what goes where no template can

One item a line, parameters in the order of the template's. Values are taken as they stand: nothing in them is looked at
again, and no line break can be among them. A text that shall begin with the word itself is written `\\template=...`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

MOST_PARAMETERS = 64
ESCAPED = "\\template="
_HEAD = re.compile(r"template[ \t]*=[ \t]*([a-z0-9_]{1,512})[ \t]*(?:\r?\n|\r|$)")
_PARAM = re.compile(r"param[ \t]*=[ \t]*([^\r\n]*)(?:\r?\n|\r|$)")
_GAP = re.compile(r"[ \t]*(?:\r?\n|\r)")
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Directive(msgspec.Struct, frozen=True):
    """rest: what stands after it, "" when nothing does."""

    template: str
    parameters: tuple[str, ...] = ()
    rest: str = ""


def parse(text: str) -> Directive | None:
    """The directive at the start of a text; None when it begins in any other way."""
    head = _HEAD.match(text)
    if head is None:
        return None
    at, parameters = head.end(), list[str]()
    while (found := _PARAM.match(text, at)) is not None and len(parameters) < MOST_PARAMETERS:
        parameters.append(found[1].rstrip())
        at = found.end()
    gap = _GAP.match(text, at)
    rest = text[gap.end() if gap is not None else at :]
    return Directive(head[1], tuple(parameters), rest if rest.strip() else "")


def rendered(text: str, parameters: Sequence[tuple[str, str]]) -> str:
    """The text of a template with its parameters in the places of {{1}}, {{2}} or {{name}}; others stay as they are."""
    values = {name or str(place): value for place, (name, value) in enumerate(parameters, 1)}
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)


def shares(rest: str, count: int) -> list[str]:
    """A text for so many parts, none of them empty and none longer than its share of the whole by more than one."""
    rest = rest.ljust(count)
    size, more = divmod(len(rest), count)
    ends = [size * (place + 1) + min(place + 1, more) for place in range(count)]
    return [rest[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
