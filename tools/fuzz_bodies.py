"""Bodies as the WhatsApp services send them: what fuzzing begins with, and what tests change the shape of."""

from __future__ import annotations

from typing import Any

NUMBER = "5511987654321"
_JID, _CHAT, _LID = f"{NUMBER}@s.whatsapp.net", f"{NUMBER}@c.us", "123456789012345@lid"
_AT = 1_789_999_990


def _evolution(event: str, data: object) -> dict[str, Any]:
    return {"event": event, "instance": "main", "data": data, "date_time": "2026-01-01T10:00:00.000Z", "apikey": "k"}


def _waha(event: str, payload: object) -> dict[str, Any]:
    return {"id": "evt_1", "event": event, "session": "main", "payload": payload, "engine": "WEBJS"}


def _cloud(value: dict[str, Any], field: str = "messages") -> dict[str, Any]:
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "main"}, **value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"value": value, "field": field}]}],
    }


_KEY = {"remoteJid": _JID, "fromMe": False, "id": "ABC1", "remoteJidAlt": _LID}
_REQUEST = {"id": f"false_{_CHAT}_ABC1", "timestamp": _AT, "from": _CHAT, "fromMe": False, "body": "Olá", "to": _CHAT}
_STATUS = {"id": "wamid.X", "status": "failed", "timestamp": str(_AT), "biz_opaque_callback_data": "m1"}
_ERROR = {"code": 131026, "title": "T", "message": "T", "error_data": {"details": "d"}}
_TEXT = {"from": NUMBER, "id": "wamid.Y", "timestamp": str(_AT), "type": "text", "text": {"body": "oi"}}
_REPLY = {"type": "button_reply", "button_reply": {"id": "1", "title": "Sim"}}

BODIES: dict[str, list[Any]] = {
    "evolution": [
        _evolution("messages.update", {"keyId": "3EB0A1", "remoteJid": _JID, "fromMe": True, "status": "READ"}),
        _evolution("messages.update", [{"key": {**_KEY, "fromMe": True}, "update": {"status": 3}}]),
        _evolution("messages.upsert", {"key": _KEY, "message": {"conversation": "Olá"}, "messageTimestamp": _AT}),
        _evolution("messages.upsert", {"messages": [{"key": {**_KEY, "remoteJid": _LID, "senderPn": _JID}, "message": {
            "ephemeralMessage": {"message": {"imageMessage": {"caption": "foto"}}}}, "messageTimestamp": str(_AT)}]}),
        _evolution("connection.update", {"state": "close", "statusReason": 401}),
        {"key": {"remoteJid": _JID, "id": "true_x_3EB0"}, "status": "PENDING"},
        {"status": 400, "error": "Bad Request", "response": {"message": [{"exists": False, "number": NUMBER}]}},
        [{"jid": _JID, "exists": True, "number": NUMBER}],
        {"instance": {"instanceName": "main", "state": "open"}},
    ],
    "waha": [
        _waha("message.ack", {"id": f"true_{_CHAT}_3EB0A1", "fromMe": True, "ack": 2, "ackName": "DEVICE"}),
        _waha("message", {**_REQUEST, "hasMedia": True, "media": {"mimetype": "image/webp; x"}, "vCards": []}),
        _waha("message", {**_REQUEST, "from": _LID, "_data": {"key": {"remoteJidAlt": _JID}, "message": {}}}),
        _waha("message", {**_REQUEST, "body": None, "_data": {"Message": {"conversation": "a"}, "Info": {}}}),
        _waha("session.status", {"name": "main", "status": "WORKING", "statuses": []}),
        {"numberExists": True, "chatId": _CHAT},
        {"id": {"fromMe": True, "id": "3EB0A1", "_serialized": f"true_{_CHAT}_3EB0A1"}},
        {"error": "Unprocessable Entity", "message": "Session status", "expected": ["WORKING"], "status": "STARTING"},
    ],
    "wppconnect": [
        {"event": "onack", "session": "main", "id": {"fromMe": True, "_serialized": f"true_{_CHAT}_3EB0"}, "ack": 2},
        {"event": "onmessage", "session": "main", **_REQUEST, "type": "chat", "t": _AT, "isGroupMsg": False},
        {"event": "onmessage", "session": "main", **_REQUEST, "from": _LID, "type": "image", "caption": "foto"},
        {"event": "status-find", "session": "main", "status": "notLogged"},
        {"status": "success", "response": [{"id": f"true_{_CHAT}_3EB0", "to": _CHAT}]},
        {"status": "success", "response": {"numberExists": True, "id": {"_serialized": _CHAT}}},
    ],
    "cloud_api": [
        _cloud({"statuses": [{**_STATUS, "errors": [_ERROR]}]}),
        _cloud({"messages": [_TEXT], "contacts": [{"wa_id": NUMBER, "user_id": "u"}]}),
        _cloud({"messages": [{**_TEXT, "type": "interactive", "interactive": _REPLY}]}),
        _cloud({"messages": [{"from_user_id": "u", "id": "wamid.Z", "type": "image", "image": {"caption": "foto"}}],
                "contacts": [{"wa_id": NUMBER, "user_id": "u"}]}),
        _cloud({"event": "APPROVED", "message_template_name": "fatura", "message_template_language": "pt_BR"},
               "message_template_status_update"),
        _cloud({"errors": [_ERROR]}),
        _cloud({"event": "DISABLED_UPDATE"}, "account_update"),
        {"messages": [{"id": "wamid.X", "message_status": "accepted"}]},
        {"error": {**_ERROR, "code": 130429}},
        {"status": "CONNECTED", "id": "1065"},
    ],
}  # fmt: skip
