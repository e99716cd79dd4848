"""What a person wrote, in the words of the Cloud API's webhooks (`value.messages`), and who it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MEDIA = {
    "image": "[imagem]",
    "video": "[vídeo]",
    "audio": "[áudio]",
    "voice": "[áudio]",
    "document": "[documento]",
    "sticker": "[figurinha]",
    "location": "[localização]",
    "contacts": "[contato]",
    "order": "[pedido]",
}
_USER = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,160}")  # "BR.1A2B3C", of one portfolio of businesses
_SILENT = frozenset({"system", "request_welcome", "edit", "revoke"})  # nothing that a person said to us


def text_in(message: Mapping[str, Any]) -> str:
    """The words of a message; "[imagem] caption" and the like for what is not words; "" for what nobody said."""
    kind = message.get("type")
    body = message.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or kind in _SILENT:
        return ""
    match kind, body:
        case "text", {"body": str(words)}:
            return words
        case "button", {"text": str(words)} | {"payload": str(words)} if words:
            return words
        case "interactive", dict():
            return _chosen(body) or "[resposta]"
        case "reaction", dict():
            emoji = body.get("emoji")
            return f"[reação] {emoji}" if isinstance(emoji, str) and emoji else ""  # "": it was taken back
        case _, dict() if kind in _MEDIA:
            caption = body.get("caption") or (body.get("filename") if kind == "document" else "")
            return f"{_MEDIA[kind]} {caption}" if isinstance(caption, str) and caption else _MEDIA[kind]
    return _MEDIA.get(kind, "[mensagem não suportada]")


def _chosen(interactive: Mapping[str, Any]) -> str:
    """The title of the button or row a person chose."""
    for name in ("button_reply", "list_reply", "nfm_reply"):
        reply = interactive.get(name)
        for key in ("title", "body", "id"):
            words = reply.get(key) if isinstance(reply, dict) else None
            if isinstance(words, str) and words:
                return words
    return ""


def sender_of(message: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]]) -> str:
    """The digits of whoever wrote, "" for people with a username who hide their number (`from` and `wa_id` missing)."""
    if digits := _digits(message.get("from")):
        return digits
    user = message.get("from_user_id")
    return next((_digits(one.get("wa_id")) for one in contacts if user and one.get("user_id") == user), "")


def user_of(message: Mapping[str, Any]) -> str:
    """The user id of whoever wrote, "" when there is none."""
    return _user(message.get("from_user_id"))


def aliases_in(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """User ids that stand beside a number: of contacts, of who wrote and of who was written to."""
    pairs = (("contacts", "user_id", "wa_id"), ("messages", "from_user_id", "from"),
             ("statuses", "recipient_user_id", "recipient_id"))  # fmt: skip
    for name, of_user, of_number in pairs:
        entries = value.get(name)
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict):
                continue
            user, digits = _user(entry.get(of_user)), _digits(entry.get(of_number))
            if user and digits:
                yield user, digits


def _user(written: object) -> str:
    return written if isinstance(written, str) and _USER.fullmatch(written) else ""


def _digits(written: object) -> str:
    digits = written.removeprefix("+") if isinstance(written, str) else ""
    return digits if digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 15 else ""
