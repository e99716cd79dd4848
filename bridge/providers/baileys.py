"""What a person wrote, in the words of Baileys (the library under Evolution and under one engine of WAHA).

Source: WAProto.proto of Baileys; the kinds of message seen in `messages.upsert`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "deviceSentMessage",
    "associatedChildMessage",
)
# Where the words stand, most telling first.
_WORDS = (
    ("conversation",),
    ("extendedTextMessage", "text"),
    ("buttonsResponseMessage", "selectedDisplayText"),
    ("buttonsResponseMessage", "selectedButtonId"),
    ("templateButtonReplyMessage", "selectedDisplayText"),
    ("templateButtonReplyMessage", "selectedId"),
    ("listResponseMessage", "title"),
    ("listResponseMessage", "singleSelectReply", "selectedRowId"),
    ("interactiveResponseMessage", "body", "text"),
)
_PLACEHOLDERS = {
    "imageMessage": "[imagem]",
    "videoMessage": "[vídeo]",
    "ptvMessage": "[vídeo]",
    "audioMessage": "[áudio]",
    "documentMessage": "[documento]",
    "stickerMessage": "[figurinha]",
    "lottieStickerMessage": "[figurinha]",
    "locationMessage": "[localização]",
    "liveLocationMessage": "[localização]",
    "contactMessage": "[contato]",
    "contactsArrayMessage": "[contato]",
    "pollCreationMessage": "[enquete]",
    "pollCreationMessageV2": "[enquete]",
    "pollCreationMessageV3": "[enquete]",
    "eventMessage": "[evento]",
    "orderMessage": "[pedido]",
    "productMessage": "[produto]",
}
# Not something a person said to us.
_SILENT = frozenset(
    {
        "messageContextInfo",
        "senderKeyDistributionMessage",
        "protocolMessage",
        "reactionMessage",
        "encReactionMessage",
        "pollUpdateMessage",
        "keepInChatMessage",
        "editedMessage",
        "secretEncryptedMessage",
        "pinInChatMessage",
        "albumMessage",  # how many pictures come, each in a message of its own
        "call",
    }
)
_PERSONAL = ("s.whatsapp.net", "c.us")


def text_in(message: object) -> str:
    """The words of a message; "[imagem] caption" and the like for what is not words; "" for what nobody said."""
    for _ in range(6):
        if not isinstance(message, Mapping):
            return ""
        inner = next((message[name] for name in _WRAPPERS if isinstance(message.get(name), Mapping)), None)
        if inner is None:
            break
        message = inner.get("message")
    if not isinstance(message, Mapping):
        return ""
    for path in _WORDS:
        found: Any = message
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, str) and found:
            return found
    for name, placeholder in _PLACEHOLDERS.items():
        body = message.get(name)
        if isinstance(body, Mapping):
            caption = body.get("caption") or (body.get("fileName") if name == "documentMessage" else "")
            return f"{placeholder} {caption}" if isinstance(caption, str) and caption else placeholder
    said = [name for name, body in message.items() if body and name not in _SILENT]
    return "[mensagem]" if said else ""


def sender_of(data: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """The digits of the person who wrote, "" for groups, broadcasts and a number that stays hidden (`@lid`)."""
    remote_jid = key.get("remoteJid")
    if not isinstance(remote_jid, str):
        return ""
    if not remote_jid.endswith("@lid"):
        return digits_of(remote_jid)
    others = (key.get("remoteJidAlt"), key.get("senderPn"), data.get("remoteJidAlt"), data.get("senderPn"))
    return next(filter(None, map(digits_of, others)), "")


def digits_of(jid: object) -> str:
    """`5531988887777:12@s.whatsapp.net` -> `5531988887777`; "" for what is not a person with a number."""
    if not isinstance(jid, str):
        return ""
    local, _, domain = jid.partition("@")
    digits = local.partition(":")[0]
    personal = domain in _PERSONAL and digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 15
    return digits if personal else ""
