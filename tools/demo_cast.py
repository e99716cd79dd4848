"""Who takes part in the demo: the numbers, the texts, and what the simulators do to each of them.

Texts are invented notices of a Brazilian utility; the numbers are of no one in particular.
"""

from __future__ import annotations

import msgspec

from tools.people import person_of
from tools.scripts import OPERATOR_WORDS, WHATSAPP_WORDS, OperatorScript, WhatsAppScript, read_script
from tools.smsc_simulator import SmscSimulator
from tools.whatsapp_simulator import WhatsAppProvider

PATIENCE_S = 3.0  # fallback_after of the demo's route


class Part(msgspec.Struct, frozen=True):
    """One message of the demo.

    to: as the client writes it. whatsapp: has an account; under `identity` where that is not the usual one.
    ack, sms: the provider's and the operator's script. ends: the stat every receipt must have, by which channel.
    """

    title: str
    to: str
    text: str
    whatsapp: bool = True
    identity: str = ""
    ack: str = ""
    sms: str = ""
    ends: str = "DELIVRD"
    by: str = "zap"
    source: str = "28940"


def _sms(title: str, to: str, text: str, **more: str) -> Part:
    return Part(title, to, text, whatsapp=False, by="operator", **more)


LONG = (
    "Prezado João, não há débitos em atraso na sua instalação. 😀 A próxima fatura, de R$ 184,90, vence em 10/12. "
    "Atenção: a leitura do relógio será às 9h de sexta-feira. ⚡ Obrigado!"
)  # 3 parts in UCS-2

CAST: tuple[Part, ...] = (
    Part("account", "5511988880001", "Ola Ana, sua fatura de R$ 84,90 vence em 10/12."),
    Part("account", "5521988880002", "Ola Bia, sua fatura de R$ 120,00 vence em 12/12."),
    Part("account, read", "5511988880003", "Ola Caio, seu pagamento foi recebido. Obrigado!", ack="read"),
    Part("account, read only", "5519988880004", "Ola Davi, sua visita tecnica e amanha, 9h.", ack="read_only"),
    Part("account, accents", "5511988880005", "Olá Érica, a manutenção começa às 14h. Até já!"),
    Part("account, emoji", "5527988880006", "Parabéns, Fábio! 🎉 Sua ligação foi concluída ✅"),
    Part("account, GSM extension", "5511988880007", "Gil: 2 itens [A] e {B}, total 10 €"),
    Part("account, older identity", "5531988880008", "Ola Helena, o boleto segue por e-mail."),
    Part("account, acks twice", "5511988880009", "Ola Igor, leitura feita: 152 kWh.", ack="delivered+twice"),
    Part("account, acks shuffled", "5551988880010", "Ola Julia, religacao concluida.", ack="read+shuffle"),
    Part("account, acks early", "5541988880011", "Ola Kaio, protocolo 2026-118 aberto.", ack="delivered+early"),
    Part("three parts, emoji", "5511988880012", LONG),
    Part("national format", "(11) 98888-0013", "Ola Lia, segunda via disponivel no site."),
    Part("12 digits, account has 13", "553188880014", "Ola Marcos, debito automatico.", identity="5531988880014"),
    _sms("no account", "5511977770015", "Ola Nina, sua fatura de R$ 61,30 vence em 15/12."),
    _sms("no account", "5585977770016", "Ola Otto, sua fatura de R$ 77,10 vence em 16/12."),
    _sms("no account, accents", "5511977770017", "Olá Paula, há uma interrupção programada às 8h."),
    _sms("no account, landline", "551133330018", "Ola Quirino, ligue 0800 para confirmar."),
    _sms("no account, throttled once", "5511977770019", "Ola Rita, codigo da visita: 4471.", sms="throttle:1"),
    _sms("no account, dead handset", "5562977770020", "Ola Saulo, contato atualizado.", sms="undeliv", ends="UNDELIV"),
    Part("unknown: lookup fails", "5511988880021", "Ola Tais, parcela 2 de 6 paga.", ack="lookup_error", by="operator"),
    Part("unknown: lookup fails", "5548988880022", "Ola Ugo, parcela 3 de 6 paga.", ack="lookup_error", by="operator"),
    Part("unknown: lookup hangs", "5511988880023", "Ola Vera, parcela 4 de 6 paga.", ack="lookup_hang", by="operator"),
    Part("WhatsApp fails later", "5511988880024", "Ola Wagner, contrato renovado.", ack="fails:500ms", by="operator"),
    Part("WhatsApp never acks", "5511988880025", "Ola Xica, agendamento confirmado.", ack="never", by="operator"),
    Part("WhatsApp down for one", "5571988880026", "Ola Yara, medidor trocado.", ack="http:503", by="operator"),
)  # fmt: skip


def direct(provider: WhatsAppProvider, operator: SmscSimulator) -> None:
    """Tell the simulators who has an account and what goes wrong."""
    for part in CAST:
        person = person_of(_international(part.to))
        if part.whatsapp:
            provider.people.add(person, part.identity)
        if part.ack:
            provider.scripts.set(person, read_script(part.ack, WHATSAPP_WORDS, WhatsAppScript()))
        if part.sms:
            operator.scripts.set(f"*{person[-8:]}", read_script(part.sms, OPERATOR_WORDS, OperatorScript()))


def _international(number: str) -> str:
    digits = "".join(c for c in number if c.isdigit())
    return digits if digits.startswith("55") and len(digits) > 11 else "55" + digits
