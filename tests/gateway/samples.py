"""Messages as an ESME would submit them."""

from __future__ import annotations

from typing import Any

from gateway.messages.message import Attempt, Attempted, Message, Part

NUMBER = "5511987654321"
START = 1_790_000_000.0  # 21 September 2026
DAY_S = 86400.0


def message(**fields: Any) -> Message:
    """A text of one segment that wants every receipt, valid for a day."""
    return Message(
        **{
            "id": "",
            "account": "billing",
            "source": "28940",
            "source_ton": 0,
            "source_npi": 1,
            "dest": "+55 11 98765-4321",
            "dest_ton": 1,
            "dest_npi": 1,
            "msisdn": NUMBER,
            "service_type": "",
            "esm_class": 0,
            "protocol_id": 0,
            "priority_flag": 0,
            "registered_delivery": 1,
            "data_coding": 0,
            "alphabet": "gsm7",
            "user_data": b"Sua fatura vence amanha",
            "in_payload": False,
            "tlvs": (),
            "part": None,
            "segments": 1,
            "schedule_at": 0.0,
            "expires_at": START + DAY_S,
            **fields,
        }
    )


def accepted(message_id: str = "m1", **fields: Any) -> Message:
    """A message that intake has taken and given to a route of two channels."""
    return message(
        **{
            "id": message_id,
            "accepted_at": START,
            "route": "default",
            "plan": ("zap", "operator"),
            "fallback_after": 600.0,
            **fields,
        }
    )


def attempt(channel: str, state: Attempted = Attempted.WAITING, **fields: Any) -> Attempt:
    return Attempt(**{"channel": channel, "state": state, "started_at": START, **fields})


def part(number: int, total: int, text: bytes = b"", reference: int = 7, **fields: Any) -> Message:
    """One part of a long text, with an 8-bit reference in its UDH (3GPP 23.040, 9.2.3.24.1)."""
    header = bytes((5, 0, 3, reference, total, number))
    body = text or f"part {number} of {total};".encode()
    key = f"billing:28940:{fields.get('msisdn', NUMBER)}:udh8:{reference}:{total}"
    return message(**{"esm_class": 0x40, "user_data": header + body, "part": Part(key, total, number), **fields})
