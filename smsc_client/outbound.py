"""A message as the submit_sm (one, or several for a text that has to be split) that carries it to the operator."""

from __future__ import annotations

from functools import lru_cache

from config.schema import SmscSettings
from gateway.messages.message import Message
from gateway.smpp import relay, segments, times
from gateway.smpp.pdu import SubmitSm
from gateway.smpp.segments import Tlvs
from smsc_client.references import References

VENDOR_FIRST, VENDOR_LAST = 0x1400, 0x3FFF
ALPHANUMERIC = 5, 0  # TON and NPI of a name (SMPP 3.4, 5.2.5)
REGISTERED_DELIVERY = 1  # both outcomes, always: what the ESME asked for decides only what the ESME hears

_validity = lru_cache(maxsize=4096)(times.relative)


class Outbound:
    """Builds submit_sm for one channel. Called once per message: everything that can be decided beforehand is."""

    def __init__(self, settings: SmscSettings, references: References) -> None:
        self._settings = settings
        self._references = references
        self._alphabet = settings.default_alphabet
        self._transliterate = settings.transliterate
        self._dest_ton, self._dest_npi = settings.dest_ton, settings.dest_npi
        self._passes = None if settings.pass_tlvs is None else frozenset(settings.pass_tlvs)
        self._source = settings.source
        given = settings.model_fields_set
        fixed = settings.source is not None
        self._source_ton = settings.source_ton if fixed or "source_ton" in given else None
        self._source_npi = settings.source_npi if fixed or "source_npi" in given else None
        if settings.source is not None and not settings.source.isdecimal() and not {"source_ton", "source_npi"} & given:
            self._source_ton, self._source_npi = ALPHANUMERIC

    def submit_sm(self, message: Message, now: float) -> SubmitSm | list[SubmitSm]:
        """The PDU of a message, or the list of PDUs of a text that takes several.

        The user data is relayed octet for octet unless the channel's alphabet differs or transliterates. The
        validity_period is what is left of it, in relative form.
        """
        tlvs = message.tlvs
        if tlvs and self._passes is not None:
            tlvs = _passed(tlvs, self._passes)
        if (
            (message.data_coding == 0 and message.alphabet != self._alphabet)
            or self._transliterate
            or message.in_payload
            or message.part is not None
        ):
            return self._parts(message, now, tlvs)
        return self._pdu(message, now, message.esm_class, message.data_coding, message.user_data, tlvs)

    def _pdu(
        self,
        message: Message,
        now: float,
        esm_class: int,
        data_coding: int,
        short_message: bytes,
        tlvs: Tlvs,
    ) -> SubmitSm:
        source, ton, npi = self._source, self._source_ton, self._source_npi
        return SubmitSm(  # in the order of its fields: every message passes here
            0,
            0,
            tlvs,
            message.service_type,
            message.source_ton if ton is None else ton,
            message.source_npi if npi is None else npi,
            message.source if source is None else source,
            self._dest_ton,
            self._dest_npi,
            message.msisdn,
            esm_class,
            message.protocol_id,
            message.priority_flag,
            "",
            _validity(int(message.expires_at - now)),
            REGISTERED_DELIVERY,
            0,
            data_coding,
            0,
            short_message,
        )

    def _parts(self, message: Message, now: float, tlvs: Tlvs) -> SubmitSm | list[SubmitSm]:
        settings = self._settings
        user_data, reference = message.user_data, 0
        if message.part is not None:
            user_data, tlvs = self._apart(message, now, tlvs)
        else:
            reference = self._references.new(message.msisdn, now) if len(user_data) > 70 else 0
        parts = relay.outgoing_parts(
            user_data,
            message.esm_class,
            message.data_coding,
            message.alphabet,
            self._alphabet,
            transliterate=self._transliterate,
            in_payload=message.in_payload,
            long_messages=settings.long_messages,
            ref=reference,
            tlvs=tlvs,
        )
        pdus = [
            self._pdu(message, now, part.esm_class, part.data_coding, part.short_message, part.tlvs) for part in parts
        ]
        return pdus[0] if len(pdus) == 1 else pdus

    def _apart(self, message: Message, now: float, tlvs: Tlvs) -> tuple[bytes, Tlvs]:
        """The user data and TLVs of a part, under another reference where the submitted one is taken at that number."""
        assert message.part is not None
        concat = segments.concat_of(message.esm_class, message.user_data, tlvs)
        if concat is None:
            return message.user_data, tlvs
        reference = self._references.of(message.part.key, message.msisdn, concat.ref, now)
        if reference == concat.ref:
            return message.user_data, tlvs
        if concat.kind == "sar":
            return message.user_data, segments.renumber_tlvs(tlvs, reference)
        return segments.renumber(message.esm_class, message.user_data, reference), tlvs


def _passed(tlvs: Tlvs, passes: frozenset[int]) -> Tlvs:
    """Without the vendor TLVs that this operator is not to get. Source: SMPP 3.4, 5.3.2."""
    return tuple(one for one in tlvs if not VENDOR_FIRST <= one[0] <= VENDOR_LAST or one[0] in passes)
