"""The template and the rule that would take texts of a shape (bridge.shapes): a start, to be read over. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

from bridge.shapes import REST
from bridge.templates import AUTHENTICATION, MOST_RENDERED
from bridge.words import folded

# What a rule takes in the place of a mask: whatever the mask may have stood for, and no more than its neighbours leave.
_TAKES = {
    "pix": r"000201.+?6304\w{4}",
    "link": r"\S+", "email": r"\S+@\S+", "data": r"[\d/-]+", "hora": r"[\dh:]+", "valor": r"[\d.,]+",
    "numero": r"\d[\d.\-/ ]*", "codigo": r"[\w-]+", "nome": r".+?", "resto": r".+",
}  # fmt: skip
_SAMPLES = {
    "pix": "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR6304ABCD",
    "link": "https://exemplo.com/x", "email": "ana@exemplo.com", "data": "10/12/2026", "hora": "14:30",
    "valor": "120,00", "numero": "12345", "codigo": "AB12", "nome": "Ana", "resto": "...",
}  # fmt: skip
_MASK = re.compile(r"\{(\w+)\}")
# What a text is for, by its words. Meta has the last word on that.
_CODE = frozenset({"codigo", "token", "senha", "pin"})
_OF_ACCESS = frozenset(
    {"acesso", "autenticacao", "compartilhe", "confirmacao", "login", "seguranca", "senha", "token", "validacao",
     "verificacao"}
)  # fmt: skip
_OF_BILLS = frozenset({"barras", "boleto", "fatura", "linha", "pedido", "pix", "protocolo", "rastreio"})
_PROMOTION = frozenset(
    {"aproveite", "brinde", "cupom", "desconto", "descontos", "oferta", "ofertas", "promocao", "promocoes"}
)
_CODES = ("numero", "codigo")  # masks that may stand for a one-time code
_METAS_WORDS = "*{{1}}* é seu código de verificação."


class Draft(msgspec.Struct, frozen=True):
    """What would take the texts of a shape: the template to have approved, and the entry of `templates`.

    doubts: what the service may refuse in it, or somebody has to think of.
    """

    name: str
    body: str  # of the template, with {{1}}, {{2}} ...
    samples: tuple[str, ...]
    match: str
    parameters: tuple[str, ...]
    doubts: tuple[str, ...]
    category: str = "utility"

    def rule(self) -> str:
        """The entry of `templates`, as YAML."""
        body = ", ".join(f'"{{{name}}}"' for name in self.parameters)
        match = self.match.replace("'", "''")
        lines = [f"- name: {self.name}", "  language: pt_BR", f"  match: '{match}'"]
        lines += [f"  body: [{body}]"] if self.parameters else []
        lines += (
            [f"  text: {json.dumps(self.body, ensure_ascii=False)}"] if REST.strip("{}") not in self.parameters else []
        )
        return "\n".join([*lines, *([f"  category: {self.category}"] if self.category != "utility" else [])])


def draft_of(shape: str) -> Draft:
    """A template and its rule for a shape: a start, for somebody to read over."""
    category = _category_of(shape)
    if category == AUTHENTICATION:
        return _draft_of_a_code(shape)
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
    doubts = tuple(_doubts(body, len(names)))
    return Draft(_name_of(shape), body, tuple(samples), match, tuple(names), doubts, category)


def _category_of(shape: str) -> str:
    """What Meta is likely to take a text for."""
    words = {folded(word) for word in re.findall(r"[^\W\d_]+", _MASK.sub(" ", shape))}
    coded = any(f"{{{kind}}}" in shape for kind in _CODES)
    if coded and words & _CODE and words & _OF_ACCESS and not words & _OF_BILLS:
        return AUTHENTICATION
    return "marketing" if words & _PROMOTION else "utility"


def _draft_of_a_code(shape: str) -> Draft:
    """One-time codes go by templates whose words are Meta's: of the text nothing is left but the code, which is the
    first number in it, or what looks like a code."""
    match, last, found = "", 0, False
    for mask in _MASK.finditer(shape):
        takes = _TAKES.get(mask[1], ".+?")
        is_code = not found and mask[1] in _CODES
        found = found or is_code
        match += _literal(shape[last : mask.start()]) + (r"(?P<codigo>[\w-]{1,15})" if is_code else f"(?:{takes})")
        last = mask.end()
    doubts = (
        "a one-time code goes by an authentication template only: its words are Meta's, and a button copies the code",
    )
    match += _literal(shape[last:])
    return Draft(_name_of(shape), _METAS_WORDS, (_SAMPLES["numero"],), match, ("codigo",), doubts, AUTHENTICATION)


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
