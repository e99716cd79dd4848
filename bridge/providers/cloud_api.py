"""WhatsApp Cloud API of Meta, one phone number of it; also through 360dialog, which passes the same bodies on.

It cannot be asked who has an account: that shows when a message fails. Sources: Meta's reference of `/messages`, of its
webhooks and of its error codes, its OpenAPI document v23.0; 360dialog's "Messaging API".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from bridge.provider import (
    Account,
    BadProof,
    Headers,
    Hidden,
    HttpRequest,
    HttpResponse,
    TemplateNews,
    WebhookRead,
    retry_after,
)
from bridge.providers import cloud_errors
from bridge.providers.cloud_inbound import aliases_in, sender_of, text_in, user_of
from bridge.providers.whatsapp_web import moment
from bridge.templates import AUTHENTICATION, DirectText, Form, FreeText, TemplateText
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Inbound,
    NoAccount,
    Refused,
    Report,
    Status,
    TryLater,
    Uncertain,
)

if TYPE_CHECKING:
    from config.schema import BridgeSettings

_STATUSES = {
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.READ,
    "failed": Status.FAILED,
}
_HELD = frozenset({"held_for_quality_assessment", "paused"})  # message_status: released later, or dropped in silence
_SENDER_GONE = frozenset({"BANNED", "DELETED", "DISCONNECTED", "MIGRATED", "PENDING"})  # status of a phone number
_TOKEN_IS_BAD = frozenset({0, 190})
_NO_SUCH_SENDER = 33
_USABLE, _UNUSABLE = (  # events of a template; others leave it as it is
    frozenset({"APPROVED", "REINSTATED", "UNARCHIVED"}),
    frozenset({"PAUSED", "DISABLED", "REJECTED", "ARCHIVED", "DELETED", "PENDING_DELETION"}),
)


class CloudApi(msgspec.Struct, frozen=True):
    """One sender. url: with the version, https://graph.facebook.com/v25.0.

    resold: by 360dialog, whose key belongs to one sender, so that no path names it; its webhooks carry no signature of
    Meta, but `webhook_secret` as ?key= in their URL or as a bearer token.
    """

    channel: str
    url: str
    api_key: str
    phone_number_id: str
    app_secret: str = ""
    verify_token: str = ""
    webhook_secret: str = ""
    resold: bool = False
    check_numbers: int = 0
    needs_identity: bool = False

    @classmethod
    def of(cls, settings: BridgeSettings) -> CloudApi:
        def secret(name: str) -> str:
            value = getattr(settings, name)
            return value.get_secret_value() if value is not None else ""

        return cls(
            channel=settings.name,
            url=str(settings.url).rstrip("/"),
            api_key=secret("api_key"),
            phone_number_id=settings.instance,
            app_secret=secret("app_secret"),
            verify_token=secret("verify_token"),
            webhook_secret=secret("webhook_secret"),
            resold=settings.resold,
        )

    def __repr__(self) -> str:
        return f"<CloudApi {self.channel}>"

    # ------------------------------------------------------------------------------------------------------- requests

    def check_request(self, numbers: Sequence[str]) -> None:
        return None

    def read_check(self, response: HttpResponse, numbers: Sequence[str]) -> Mapping[str, Account]:
        return dict.fromkeys(numbers)

    def send_request(self, recipient: str, text: str, message_id: str) -> HttpRequest:
        return self.form_request(recipient, FreeText(text), message_id)

    def form_request(self, recipient: str, form: Form, message_id: str) -> HttpRequest:
        """The number goes with its plus: without it the country code of the sender may be put before it."""
        body: dict[str, object] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": f"+{recipient.removeprefix('+')}",
            "biz_opaque_callback_data": message_id,
        }
        match form:
            case FreeText(text=text):
                body |= {"type": "text", "text": {"body": text, "preview_url": False}}
            case DirectText(text=text, ttl=ttl):
                body |= {"type": "text", "text": {"body": text, "preview_url": False}}
                body |= {"category": "utility", "ttl_seconds": int(ttl)}
            case TemplateText():
                body |= {"type": "template", "template": _template(form)}
        return self._request("POST", "messages", body)

    def state_request(self) -> HttpRequest | None:
        if self.resold:
            return None
        return self._request("GET", "?fields=status", None)

    def _request(self, method: str, path: str, body: object | None) -> HttpRequest:
        headers: Headers = (("Accept", "application/json"),)
        if self.resold:
            url = f"{self.url}/{path}"
            headers += (("D360-API-KEY", self.api_key),)
        else:
            url = f"{self.url}/{quote(self.phone_number_id, safe='')}{'' if path[:1] == '?' else '/'}{path}"
            headers += (("Authorization", f"Bearer {self.api_key}"),)
        if body is not None:
            headers += (("Content-Type", "application/json"),)
        return HttpRequest(method, url, headers, b"" if body is None else msgspec.json.encode(body))

    # -------------------------------------------------------------------------------------------------------- answers

    def read_send(self, response: HttpResponse) -> AttemptResult:
        """200 means taken, and proves no account. Errors are read by their code; the HTTP status counts without one."""
        status, body = response.status, response.json()
        match body:
            case {"error": {"code": int(code)} as error}:
                return cloud_errors.result_of(code, _details(error))
            case {"messages": [{"id": str(remote_id)} as taken, *_]} if 200 <= status < 300 and remote_id:
                return Accepted(remote_id, held=str(taken.get("message_status")) in _HELD)
        code_ = str(status)
        if 200 <= status < 300:
            return Uncertain("unreadable_answer")
        if status == 429:
            return TryLater(retry_after(response, 2.0), "throttled", code_, counted=False)
        if status in (401, 403):
            return ChannelDown("unauthorized", code_)
        if status == 404:
            return ChannelDown("unknown_instance", code_)
        if status >= 500:
            return ChannelDown("provider_down", code_)
        return Refused("refused", code_, rejected=False)

    def again(self, result: TryLater, tries: int) -> AttemptResult:
        return cloud_errors.again(result, tries)

    def alarm(self, result: AttemptResult) -> str:
        return cloud_errors.alarm(result)

    def read_state(self, response: HttpResponse) -> bool | None:
        """A token that may send and not look is refused here: then a message will tell."""
        match response.json():
            case {"error": {"code": int(code)}}:
                if code in _TOKEN_IS_BAD or code == _NO_SUCH_SENDER:
                    return False
                return None if response.status >= 500 or code in (1, 2, 4) else True
            case {"status": str(state)} if response.status == 200:
                return state not in _SENDER_GONE
            case {"id": str()} if response.status == 200:
                return True
        return None

    # ------------------------------------------------------------------------------------------------------- webhooks

    def senders_in(self, request: HttpRequest) -> frozenset[str]:
        found = (value.get("metadata") for _, value in _changes(request.json()))
        names = (one.get("phone_number_id") for one in found if isinstance(one, dict))
        return frozenset(name for name in names if isinstance(name, str))

    def read_webhook(self, request: HttpRequest, now: float) -> WebhookRead | BadProof:
        """Everything in all entries and changes; those of other senders of the same account are passed over."""
        if request.method in ("GET", "HEAD"):
            return WebhookRead(answer=self._challenged(request))
        if wrong := self._wrong_proof(request):
            return BadProof(wrong)
        found = _Found()
        for field, value in _changes(request.json()):
            if field == "messages":
                self._read_value(value, now, found)
            elif field == "message_template_status_update":
                found.templates += _template_news(value)
            elif field == "account_update":  # restricted, disabled, restored: the sender's state tells
                found.unsure = True
        return WebhookRead(
            tuple(found.reports),
            tuple(found.inbound),
            unsure=found.unsure,
            failures=tuple(found.failures),
            templates=tuple(found.templates),
            hidden=tuple(found.hidden),
            aliases=tuple(found.aliases),
            nameless=found.nameless,
        )

    def _challenged(self, request: HttpRequest) -> HttpResponse:
        """The answer to the question that comes when a webhook is set up."""
        given, wanted = request.query("hub.verify_token").encode(), self.verify_token.encode()
        if request.query("hub.mode") == "subscribe" and wanted and hmac.compare_digest(given, wanted):
            challenge = request.query("hub.challenge").encode()
            return HttpResponse(200, challenge, (("Content-Type", "text/plain; charset=utf-8"),))
        return HttpResponse(403)

    def _wrong_proof(self, request: HttpRequest) -> str:
        """What is wrong with the proof, "" when nothing is. Meta signs the octets of the body with the app's secret."""
        if self.resold:
            scheme, _, token = request.header("authorization").partition(" ")
            given = token.strip() if scheme.lower() == "bearer" else request.query("key")
            right = self.webhook_secret and hmac.compare_digest(given.encode(), self.webhook_secret.encode())
            return "" if right else "wrong key"
        kind, _, signature = request.header("x-hub-signature-256").partition("=")
        if not self.app_secret or kind != "sha256":
            return "no signature"
        expected = hmac.new(self.app_secret.encode(), request.body, hashlib.sha256).hexdigest()
        return "" if hmac.compare_digest(signature.lower().encode(), expected.encode()) else "wrong signature"

    def _read_value(self, value: dict[str, Any], now: float, found: _Found) -> None:
        metadata = value.get("metadata")
        sender = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
        if not self.resold and sender not in (None, self.phone_number_id):
            return
        for status in _dicts(value.get("statuses")):
            self._read_status(status, now, found)
        for error in _dicts(value.get("errors")):  # of the sender or its account, not of a message
            if isinstance(code := error.get("code"), int):
                found.failures.append(cloud_errors.result_of(code, _details(error)))
        contacts = list(_dicts(value.get("contacts")))
        found.aliases += aliases_in(value)
        for message in _dicts(value.get("messages")):
            words = text_in(message)
            if not words:
                continue
            remote_id = message.get("id")
            text = Inbound(
                self.channel,
                sender_of(message, contacts),
                to="",
                remote_id=remote_id if isinstance(remote_id, str) else "",
                text=words,
                at=moment(message.get("timestamp"), now),
            )
            if text.msisdn:
                found.inbound.append(text)
            elif user := user_of(message):
                found.hidden.append(Hidden(text, user))
            else:
                found.nameless += 1

    def _read_status(self, entry: dict[str, Any], now: float, found: _Found) -> None:
        said, remote_id, ours = entry.get("status"), entry.get("id"), entry.get("biz_opaque_callback_data")
        status = _STATUSES.get(said) if isinstance(said, str) else None
        if status is None or not isinstance(remote_id, str) or not remote_id:
            return
        message_id = ours if isinstance(ours, str) and len(ours) < 200 else ""
        at = moment(entry.get("timestamp"), now)
        report = Report(self.channel, remote_id, status, at=at, message_id=message_id)
        if status is Status.FAILED:
            code, details = _first_error(entry)
            result = cloud_errors.result_of(code, details) if code is not None else Refused("refused", rejected=False)
            found.failures.append(result)
            report = msgspec.structs.replace(
                report,
                err="" if code is None else str(code),
                no_account=isinstance(result, NoAccount),
                again_s=_again_s(result),
            )
        found.reports.append(report)


class _Found(msgspec.Struct):
    """What a webhook holds, while it is read."""

    reports: list[Report] = []
    inbound: list[Inbound] = []
    failures: list[AttemptResult] = []
    templates: list[TemplateNews] = []
    hidden: list[Hidden] = []
    aliases: list[tuple[str, str]] = []
    nameless: int = 0
    unsure: bool = False


def _template(form: TemplateText) -> dict[str, object]:
    template: dict[str, object] = {"name": form.name, "language": {"code": form.language}}
    if form.parameters:
        parameters = [
            {"type": "text", **({"parameter_name": name} if name else {}), "text": text}
            for name, text in form.parameters
        ]
        template["components"] = [{"type": "body", "parameters": parameters}]
        if form.category == AUTHENTICATION:  # its button copies the code, and is filled like one with a link
            button = {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters}
            template["components"] = [{"type": "body", "parameters": parameters}, button]
    return template


def _again_s(result: AttemptResult) -> float:
    """In how many seconds a message that failed may be tried once more; below 0: not."""
    match result:
        case TryLater(after_s=after_s):
            return after_s
        case Refused(reason="window_closed"):
            return 0.0
    return -1.0


def _details(error: Mapping[str, Any]) -> str:
    """What an error says about itself, most telling first."""
    match error:
        case {"error_data": {"details": str(details)}} if details:
            return details
        case {"message": str(message)}:
            return message
    return ""


def _first_error(entry: Mapping[str, Any]) -> tuple[int | None, str]:
    match entry.get("errors"):
        case [{"code": int(code)} as error, *_]:
            return code, _details(error)
    return None, ""


def _changes(body: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in _dicts(body.get("entry") if isinstance(body, dict) else None):
        for change in _dicts(entry.get("changes")):
            field, value = change.get("field", "messages"), change.get("value")
            if isinstance(field, str) and isinstance(value, dict):
                yield field, value


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict):
            yield entry


def _template_news(value: Mapping[str, Any]) -> Iterator[TemplateNews]:
    match value:
        case {"event": str(event), "message_template_name": str(name), "message_template_language": str(language)}:
            if event in _USABLE or event in _UNUSABLE:  # a language is en-US here and en_US in a send
                yield TemplateNews(name, language.replace("-", "_"), event in _USABLE)
