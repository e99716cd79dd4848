"""Shapes of texts: nothing of anybody in them, and the draft made of one takes the text it came from."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bridge.drafts import draft_of
from bridge.shapes import LONGEST, REST, shape_of
from bridge.templates import Template, TemplateText
from bridge.words import COMMON, JOINING, folded
from config.schema import TemplateSettings


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (
            "Ola Maria, sua fatura de R$ 99,90 vence em 10/03/2026.",
            "Ola {nome}, sua fatura de R$ {valor} vence em {data}.",
        ),
        ("Olá João da Silva e Souza, tudo bem?", "Olá {nome}, {nome} bem?"),
        ("Olá José Dias, seu pedido saiu.", "Olá {nome}, seu pedido saiu."),
        ("Bia, sua fatura venceu ontem. Fale conosco", "{nome}, sua fatura venceu ontem. Fale conosco"),
        ("Prezada Ana Pago, sua conta vence hoje", "Prezada {nome}, sua conta vence hoje"),
        ("PREZADO CARLOS SUA FATURA VENCE AMANHA", "PREZADO {nome} SUA FATURA VENCE AMANHA"),
        ("Seu codigo e 123456", "Seu codigo e {numero}"),
        ("Codigo: A1B2-C3", "Codigo: {codigo}"),
        ("Linha digitavel 00190.00009 02345.678003 8 13810000009990", "Linha digitavel {numero}"),
        ("Acesse https://x.example/b/985632-8H2K ou provedor.com.br/c/8H2K", "Acesse {link} ou {link}"),
        ("Envie para ana.lima@example.com ate 14:30 ou 18h", "Envie para {email} ate {hora} ou {hora}"),
        ("CPF 529.982.247-25, total 1.099,90", "CPF {numero}, total {valor}"),
        ("Vence 2026-03-10 😀", "Vence {data} {nome}"),
        ("Oi {nome}", "Oi {nome}{nome}{nome}"),
        ("", ""),
    ],
)
def test_what_is_somebodys_is_masked(text: str, shape: str) -> None:
    assert shape_of(text) == shape


_NAMES = """
Ana Maria José João Antônio Francisco Carlos Paulo Pedro Lucas Luiz Marcos Marco Gabriel Rafael Daniel Marcelo Bruno
Eduardo Felipe Raimundo Rodrigo Manoel Mateus André Fernando Fábio Leonardo Gustavo Guilherme Leandro Tiago Anderson
Ricardo Márcio Jorge Sebastião Alexandre Roberto Edson Diego Vitor Sérgio Cláudio Francisca Antônia Adriana Juliana
Márcia Fernanda Patrícia Aline Sandra Camila Amanda Bruna Jéssica Letícia Júlia Luciana Vanessa Mariana Gabriela Vera
Vitória Larissa Cláudia Beatriz Rita Luana Sônia Renata Eliane Rosa Luz Conceição Aparecida Socorro Graça Aurora
Estela Silva Santos Oliveira Souza Rodrigues Ferreira Alves Pereira Lima Gomes Costa Ribeiro Martins Carvalho Almeida
Lopes Soares Fernandes Vieira Barbosa Rocha Dias Nascimento Andrade Moreira Nunes Marques Machado Mendes Freitas
Cardoso Ramos Gonçalves Santana Teixeira Araújo Pinto Reis Leal Campos Prado Pires Moura Cruz Neves Vale Salvador
Franca
"""
NAMES = _NAMES.split()


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), st.sampled_from(["title", "lower", "upper"]))
def test_no_name_is_ever_in_a_shape(names: list[str], how: str) -> None:
    written = [getattr(name, how)() for name in names]
    shape = shape_of(f"Ola {' '.join(written)}, sua fatura vence hoje. Atenciosamente, {written[0]}")
    words = {word.lower() for word in re.findall(r"\w+", re.sub(r"\{\w+\}", "", shape))}
    alone = {"dias"}  # a surname where it follows a name; by itself it counts days
    assert words.isdisjoint({name.lower() for name in names} - alone)
    if names[-1:] == ["Dias"] and names[-2:-1] not in ([], ["Dias"]):
        assert f" {written[-1]}," not in shape


def test_no_name_is_among_the_common_words() -> None:
    assert {folded(name) for name in NAMES} & COMMON <= {"dias"}
    assert COMMON | {"di", "del", "von", "van", "y"} >= JOINING


pieces = st.sampled_from(
    [*NAMES[:9], "sua", "fatura", "de", "R$", "99,90", "1.099,90", "vence", "10/03/2026", "em", "hoje", "2026-01-02",
     ",", ".", "!", "(", "*negrito*", "https://x.y/z?a=1", "ana@x.br", "14:30", "A1B2", "123456", "00190.00009 02345",
     "{", "}", "\\", "'", '"', "😀", "\n", "\t", "  ", "R$99,90", "10h", "x_y", "é", "ção", "\u2028", "\x00", "#"]
)  # fmt: skip


@given(st.lists(pieces, max_size=14), st.sampled_from([" ", "", "\n"]))
def test_the_rule_of_a_shape_takes_the_text_it_came_from(words: list[str], between: str) -> None:
    text = between.join(words)
    if not text.strip():
        return
    (entry,) = yaml.safe_load(draft_of(shape_of(text)).rule())
    settings = TemplateSettings.model_validate(entry)
    template = Template(settings.name, settings.language, settings.compiled(), settings.body)
    filled = template.fill(text)
    assert isinstance(filled, TemplateText) and len(filled.parameters) == shape_of(text).count("{")


@given(st.text(max_size=300))
def test_any_text_has_a_shape_without_a_digit_and_with_common_words_only(text: str) -> None:
    rest = re.sub(r"\{\w+\}", " ", shape_of(text))
    assert not any(char.isdigit() for char in rest) and "{" not in rest and "}" not in rest
    words = re.findall(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*", rest)
    assert all(folded(word) in COMMON for word in words)


def test_a_long_shape_is_cut_and_says_so() -> None:
    shape = shape_of("sua fatura vence " * 100)
    assert len(shape) <= LONGEST and shape.endswith(REST)
    (entry,) = yaml.safe_load(draft_of(shape).rule())
    assert TemplateSettings.model_validate(entry).compiled().fullmatch("sua fatura vence " * 100)
    assert shape_of("fatura, " * 88 + "123456789").count("{") == 1


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("Ola Ana, sua fatura de R$ 9,90 vence hoje.", 0),
        ("Ana, sua fatura vence hoje.", 1),
        ("Sua fatura vence em 10/10", 1),
        ("Ola 😀😀 sua fatura vence hoje, aguarde.", 1),
        ("Ola Ana 12", 2),
    ],
)
def test_what_the_service_may_refuse_is_told(text: str, doubts: int) -> None:
    assert len(draft_of(shape_of(text)).doubts) >= doubts and bool(draft_of(shape_of(text)).doubts) == bool(doubts)


def test_a_draft_is_ready_to_be_pasted() -> None:
    draft = draft_of(shape_of("Olá Ana, sua fatura de R$ 99,90 vence em 10/03/2026. Não responda (SMS)."))
    assert draft.body == "Olá {{1}}, sua fatura de R$ {{2}} vence em {{3}}. Não responda (SMS)."
    assert draft.samples == ("Ana", "120,00", "10/12/2026") and draft.doubts == ()
    assert draft.name == "fatura_vence_responda"
    assert draft.rule() == (
        "- name: fatura_vence_responda\n"
        "  language: pt_BR\n"
        r"  match: 'Olá\s+(?P<nome>.+?),\s+sua\s+fatura\s+de\s+R\$\s+(?P<valor>[\d.,]+)\s+vence\s+em\s+"
        r"(?P<data>[\d/-]+)\.\s+Não\s+responda\s+\(SMS\)\.'" + "\n"
        '  body: ["{nome}", "{valor}", "{data}"]\n'
        '  text: "Olá {{1}}, sua fatura de R$ {{2}} vence em {{3}}. Não responda (SMS)."'
    )


PIX = (
    "00020126580014br.gov.bcb.pix0136a629532e-7693-4846-852d-1bbff817b5a8520400005303986540510.005802BR5913JOSE DA "
    "SILVA6008BRASILIA62070503***6304AB1D"
)


def test_the_code_of_a_pix_is_one_parameter() -> None:
    text = f"Fatura de R$ 10,00: pague com o Pix copia e cola {PIX} ate amanha."
    assert shape_of(text) == "Fatura de R$ {valor}: pague com o Pix copia e cola {pix} ate amanha."
    [entry] = yaml.safe_load(draft_of(shape_of(text)).rule())
    settings = TemplateSettings.model_validate(entry)
    filled = Template(settings.name, settings.language, settings.compiled(), settings.body).fill(text)
    assert isinstance(filled, TemplateText) and filled.parameters == (("", "10,00"), ("", PIX))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Seu codigo de verificacao e 482913. Nao compartilhe com ninguem.", "482913"),
        ("482913 e o seu codigo de acesso ao Portal Maria. Valido por 5 minutos.", "482913"),
        ("Token: AB12-9F. Use para entrar no aplicativo.", "AB12-9F"),
        ("Prezado Joao Silva, sua senha de acesso temporaria: 99887766", "99887766"),
    ],
)
def test_a_one_time_code_is_drafted_as_an_authentication_template(text: str, code: str) -> None:
    draft = draft_of(shape_of(text))
    assert draft.category == "authentication" and draft.body == "*{{1}}* é seu código de verificação."
    [entry] = yaml.safe_load(draft.rule())
    settings = TemplateSettings.model_validate(entry)
    template = Template(
        settings.name,
        settings.language,
        settings.compiled(),
        settings.body,
        0.0,
        settings.text or "",
        settings.category,
    )
    assert template.fill(text) == TemplateText(draft.name, "pt_BR", (("", code),), 600.0, "authentication")


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Ola Ana, sua fatura de R$ 9,90 vence hoje. Codigo de barras 00190.00009 02345", "utility"),
        ("Seu codigo de rastreio e AB123456789BR, acesse o portal", "utility"),
        ("Aproveite 50% de desconto na sua proxima compra, hoje apenas.", "marketing"),
        ("Seu token foi cancelado, ligue para a central de seguranca.", "utility"),  # there is no code in it
    ],
)
def test_what_a_text_is_for_is_guessed(text: str, category: str) -> None:
    draft = draft_of(shape_of(text))
    assert draft.category == category
    assert ("category:" in draft.rule()) is (category != "utility")
