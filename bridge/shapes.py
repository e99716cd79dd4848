"""The shape of a text: what stays of it when digits, names and everything else that is somebody's is masked. Pure.

A shape is a text with masks such as `{nome}` or `{valor}`; braces of the text itself are masked, too. What is no common
word (bridge.words) counts as a name: rather one word too many is masked than one too few.
"""

from __future__ import annotations

import re

from bridge.words import COMMON, JOINING, SURNAMES, folded

LONGEST = 700  # characters of a shape; a longer one ends in REST
REST = "{resto}"

# Kinds of what is masked, the first that fits counts; the expression of each takes all that it masks.
_KINDS: dict[str, str] = {
    "pix": r"000201[^\n]{20,600}?6304[0-9A-Fa-f]{4}(?!\w)",  # of Pix "copia e cola" (EMV QRCPS), with its checksum
    "link": r"(?:https?://|www\.)\S+|[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z]{2,}(?:/\S*)",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "data": r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}(?:/\d{2,4})?(?!\d)",
    "hora": r"\d{1,2}(?::\d{2}){1,2}(?!\d)|\d{1,2}h(?:\d{2})?(?!\w)",
    "valor": r"\d{1,3}(?:\.\d{3})*,\d{2}(?!\w)|\d+,\d{2}(?!\w)",
    "numero": r"\d+(?:[.\-/ ]\d+)*(?![\w])",
    "codigo": r"\w*[\d_]\w*(?:-\w+)*",
    "nome": r"[^\W\d_]+(?:['’\-][^\W\d_]+)*",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{written})" for kind, written in _KINDS.items()) + r"|(?P<other>\s+|.)")
_SYMBOLS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`|~ºª°§€£…–—“”‘’•¡¿ \n\t\r")
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
