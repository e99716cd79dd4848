"""The shape of a text: what stays of it when digits, names and everything else that is somebody's is masked; and the
template and the rule that would take texts of that shape. Pure.

A shape is a text with masks such as `{nome}` or `{valor}`; braces of the text itself are masked, too. What is no common
word (bridge.words) counts as a name: rather one word too many is masked than one too few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from bridge.templates import MOST_RENDERED
from bridge.words import COMMON, JOINING, SURNAMES, folded

LONGEST = 700  # characters of a shape; a longer one ends in REST
REST = "{resto}"

# Kinds of what is masked, the first that fits counts; the expression of each takes all that it masks.
_KINDS: dict[str, str] = {
    "link": r"(?:https?://|www\.)\S+|[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z]{2,}(?:/\S*)",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "data": r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}(?:/\d{2,4})?(?!\d)",
    "hora": r"\d{1,2}(?::\d{2}){1,2}(?!\d)|\d{1,2}h(?:\d{2})?(?!\w)",
    "valor": r"\d{1,3}(?:\.\d{3})*,\d{2}(?!\w)|\d+,\d{2}(?!\w)",
    "numero": r"\d+(?:[.\-/ ]\d+)*(?![\w])",
    "codigo": r"\w*[\d_]\w*(?:-\w+)*",
    "nome": r"[^\W\d_]+(?:['’\-][^\W\d_]+)*",
}
# What a rule takes in the place of a mask: whatever the mask may have stood for, and no more than its neighbours leave.
_TAKES = {
    "link": r"\S+", "email": r"\S+@\S+", "data": r"[\d/-]+", "hora": r"[\dh:]+", "valor": r"[\d.,]+",
    "numero": r"\d[\d.\-/ ]*", "codigo": r"[\w-]+", "nome": r".+?", "resto": r".+",
}  # fmt: skip
_SAMPLES = {
    "link": "https://exemplo.com/x", "email": "ana@exemplo.com", "data": "10/12/2026", "hora": "14:30",
    "valor": "120,00", "numero": "12345", "codigo": "AB12", "nome": "Ana", "resto": "...",
}  # fmt: skip
_TOKEN = re.compile("|".join(f"(?P<{kind}>{written})" for kind, written in _KINDS.items()) + r"|(?P<other>\s+|.)")
_SYMBOLS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`|~ºª°§€£…–—“”‘’•¡¿ \n\t\r")
_MASK = re.compile(r"\{(\w+)\}")
_NAMES = re.compile(rf"\{{nome\}}(?: (?:(?:{'|'.join(sorted(JOINING))}) )?\{{nome\}})+", re.IGNORECASE)


def shape_of(text: str) -> str:
    """The shape of a text. Nothing of it but common words, spaces and signs is in there."""
    shape = _NAMES.sub("{nome}", "".join(_pieces(text)))
    if len(shape) <= LONGEST:
        return shape
    cut = shape[: LONGEST - len(REST)]
    return cut[: cut.rindex("{")] + REST if cut.rfind("{") > cut.rfind("}") else cut + REST


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    shouted = text.isupper()
    for found in _TOKEN.finditer(text):
        kind, written = found.lastgroup, found[0]
        if kind == "nome":
            word = folded(written)
            in_a_name = pieces[-2:] == ["{nome}", " "] and ((written[0].isupper() and not shouted) or word in SURNAMES)
            pieces.append(written if word in COMMON and not in_a_name else "{nome}")
        elif kind != "other":
            pieces.append(f"{{{kind}}}")
        elif written.isspace() or written in _SYMBOLS:
            pieces.append(written)
        else:  # emoji and the like, braces
            pieces.append("{nome}")
    return pieces


class Draft(msgspec.Struct, frozen=True):
    """What would take the texts of a shape: the template to have approved, and the entry of `templates`.

    doubts: what the service may refuse in it.
    """

    name: str
    body: str  # of the template, with {{1}}, {{2}} ...
    samples: tuple[str, ...]
    match: str
    parameters: tuple[str, ...]
    doubts: tuple[str, ...]

    def rule(self) -> str:
        """The entry of `templates`, as YAML."""
        body = ", ".join(f'"{{{name}}}"' for name in self.parameters)
        match = self.match.replace("'", "''")
        lines = [f"- name: {self.name}", "  language: pt_BR", f"  match: '{match}'"]
        return "\n".join([*lines, f"  body: [{body}]"] if self.parameters else lines)


def draft_of(shape: str) -> Draft:
    """A template and its rule for a shape: a start, for somebody to read over."""
    body, match, names, samples, last = "", "", list[str](), list[str](), 0
    for found in _MASK.finditer(shape):
        between, kind = shape[last : found.start()], found[1]
        last = found.end()
        name = kind if kind not in names else f"{kind}{1 + sum(one.startswith(kind) for one in names)}"
        names.append(name)
        samples.append(_SAMPLES.get(kind, "..."))
        body += f"{between}{{{{{len(names)}}}}}"
        match += f"{_literal(between)}(?P<{name}>{_TAKES.get(kind, '.+?')})"
    body, match = body + shape[last:], match + _literal(shape[last:])
    return Draft(_name_of(shape), body, tuple(samples), match, tuple(names), tuple(_doubts(body, len(names))))


def _literal(written: str) -> str:
    """An expression for what stands between masks. Any white space stands for any other, so that YAML on one line can
    hold it."""
    return "".join(r"\s+" if piece.isspace() else re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", piece)
                   for piece in re.split(r"(\s+)", written) if piece)  # fmt: skip


def _doubts(body: str, parameters: int) -> Iterator[str]:
    """Sources: Cloud API, "Template components", errors 2388299, 2388293 and 2388072."""
    text = body.strip()
    if text.startswith("{{") or text.endswith("}}"):
        yield "it begins or ends with a parameter: put words there"
    if re.search(r"\}\}\s*\{\{", text):
        yield "two parameters stand side by side: put words between them or make them one"
    if len(re.findall(r"\w+", re.sub(r"\{\{\d+\}\}", "", text))) < 2 * parameters:
        yield "it has too many parameters for its length"
    if len(text) > MOST_RENDERED:
        yield "it is longer than a template may be"
    if REST.strip("{}") in body:
        yield "its end was cut off"


def _name_of(shape: str) -> str:
    """A name out of the telling words of a shape."""
    words = (folded(word) for word in re.findall(r"[^\W\d_]{4,}", _MASK.sub(" ", shape)))
    telling = [word for word in words if re.fullmatch("[a-z]+", word) and word not in _DULL]
    return "_".join(list(dict.fromkeys(telling))[:5])[:60].strip("_") or "texto"


_DULL = frozenset(
    {"para", "pela", "pelo", "este", "esta", "esse", "essa", "seus", "suas", "nosso", "nossa",
     "cliente", "como", "sobre", "voce", "http", "https"}
)  # fmt: skip
