"""The settings, key by key. Attribute names are the YAML keys; what is absent and has no default is None.

Units: durations are float seconds, rates are float per second, money is Decimal, secrets are SecretStr. Every model is
frozen, so two configurations can be compared part by part when a file is read again. What concerns more than one key
(duplicates, dangling names, unreachable routes) is checked in `config.between`.
"""

from __future__ import annotations

import re
import socket
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from config import quirks
from config.fields import (
    AccountPassword,
    Body,
    Cidr,
    ConnectEndpoint,
    Country,
    DryRun,
    Duration,
    DurationOrZero,
    Flag,
    Hours,
    HttpUrl,
    ListenEndpoint,
    Lower,
    Money,
    Name,
    OneOrMore,
    PasswordHash,
    Prefix,
    Rate,
    Ratio,
    Regex,
    Secret,
    SourceAddr,
    StoreAddress,
    SystemId,
    SystemType,
    Text,
    TimeZone,
    text,
    whole,
)
from config.wire_numbers import StatusTable, Tags

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

Alphabet = Literal["gsm7", "latin1", "utf8"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Day = Annotated[Weekday, Lower]
Currency = Annotated[str, text(r"[A-Z]{3}", "write the three capital letters of ISO 4217, such as BRL")]
Language = Annotated[str, text(r"[a-z]{2,3}(_[A-Za-z]{2,4})?", "write a language code such as pt_BR")]
Quirk = Annotated[str, BeforeValidator(quirks.named)]
TemplateName = Annotated[
    str, text(r"[a-z0-9_]{1,512}", "write the name of the approved template: small letters, digits, _")
]
ApprovedText = Annotated[str, text(r"(?s).*\S.*", "write the text as it was approved; line breaks may be in it")]
Octet = Annotated[int, whole(0, 255)]
Listeners = Annotated[tuple[ListenEndpoint, ...], OneOrMore, Field(min_length=1)]


class Settings(BaseModel):
    """What all sections share: frozen, unknown keys refused, values kept out of errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class StoreSettings(Settings):
    """What we must not forget, and for how long."""

    url: StoreAddress = Field(default="embedded", repr=False)  # may carry a password; see config.store_url
    directory: Text = "var/store"  # of the embedded store; of the wire log, whatever the store is
    fsync: Literal["always", "everysec"] = "always"
    replicas: Annotated[int, whole(0, 10)] = 0  # that must have a change before it counts as kept; WAIT of the store
    retention: Duration = 48 * HOUR
    writers: Duration = 30 * DAY  # how long it is noted who wrote to which number, and never less than retention
    events: Annotated[int, whole(1, 1_000_000_000)] = 1_000_000
    max_messages: Annotated[int, whole(1, 1_000_000_000)] = 2_000_000


class AccountSettings(Settings):
    """A billing system that binds to us. Exactly one of password and password_hash is given."""

    system_id: SystemId
    password: AccountPassword | None = None
    password_hash: PasswordHash | None = None
    allow_from: Annotated[tuple[Cidr, ...], OneOrMore] = ()  # empty: everywhere
    max_binds: Annotated[int, whole(1, 10_000)] = 8
    window: Annotated[int, whole(1, 100_000)] = 100
    throughput: Rate = 500.0
    over_rate: Literal["throttle", "delay"] = "throttle"
    default_alphabet: Alphabet = "gsm7"
    sources: Annotated[tuple[SourceAddr, ...], OneOrMore] = ()  # empty: any
    default_source: SourceAddr | None = None
    receipts_kept: Duration = 7 * DAY
    outbind: ConnectEndpoint | None = None
    dedupe: DurationOrZero = 0.0
    quirks: Annotated[tuple[Quirk, ...], OneOrMore] = ()
    time_zone: TimeZone | None = None  # of dates without a zone; None: this machine's
    template_directive: Flag = False  # may it begin a text with template= and param= lines?


class SmppServerSettings(Settings):
    """The side billing systems bind to."""

    listen: Listeners = ("tcp:2775:interface=127.0.0.1",)
    system_id: SystemId = "POMBO"
    session_init_timeout: Duration = 10.0
    enquire_link: Duration = 30.0
    response_timeout: Duration = 30.0
    inactivity_timeout: DurationOrZero = 10 * MINUTE  # 0: never
    parts_timeout: Duration = 60.0
    default_validity: Duration = 24 * HOUR
    uniform_bind_error: Flag = False
    accounts: tuple[AccountSettings, ...] = ()


class ReconnectSettings(Settings):
    """How long to wait before connecting again: from `initial`, growing up to `max`."""

    initial: Duration = 1.0
    max: Duration = 60.0


class SmscSettings(Settings):
    """A channel to an operator. `source` None keeps the submitted source address.

    IN_BINDS: the keys that its binds are made with; when one of them changes, the binds are made anew."""

    IN_BINDS: ClassVar[tuple[str, ...]] = (
        "name", "connect", "system_id", "password", "system_type", "bind", "binds", "window", "response_timeout",
        "enquire_link", "reconnect",
    )  # fmt: skip

    name: Name
    connect: ConnectEndpoint
    system_id: SystemId
    password: Secret
    system_type: SystemType = ""
    bind: Literal["transceiver", "transmitter_receiver", "transmitter"] = "transceiver"
    binds: Annotated[int, whole(1, 1_000)] = 1
    window: Annotated[int, whole(1, 100_000)] = 50
    throughput: Rate = 100.0
    source: SourceAddr | None = None
    source_ton: Octet = 0
    source_npi: Octet = 1
    dest_ton: Octet = 1
    dest_npi: Octet = 1
    default_alphabet: Alphabet = "gsm7"
    long_messages: Literal["udh", "sar", "payload"] = "udh"
    transliterate: Flag = False
    response_timeout: Duration = 30.0
    enquire_link: Duration = 30.0
    reconnect: ReconnectSettings = ReconnectSettings()
    unanswered: Literal["hold", "resend"] = "hold"
    status: StatusTable = {}  # command_status -> what it means, where gateway.smpp.status reads it otherwise
    pass_tlvs: Tags | None = None  # None: every vendor TLV to the operator, none from it
    price: Money = Decimal("0")  # per segment


class LookupSettings(Settings):
    """Asking whether a number has an account. On cloud_api, which cannot be asked, only the last four apply."""

    enabled: Flag = True
    deadline: Duration = 2.0
    budget: Rate = 1.0  # numbers per second
    day: Annotated[int, whole(1, 100_000_000)] | None = None  # numbers
    active_for: Duration = 30 * DAY
    inactive_for: Duration = DAY
    identities_for: Duration = 400 * DAY
    when_unknown: Literal["skip", "send"] = "skip"  # absent on cloud_api: send


class LimitSettings(Settings):
    """What a sender may do beyond its throughput. None and empty: no limit."""

    day: Annotated[int, whole(1, 100_000_000)] | None = None  # sends
    warm_up: tuple[Annotated[int, whole(1, 100_000_000)], ...] = ()  # sends on the first days, in order
    person: Duration | None = None  # seconds between two messages to one person


class HealthSettings(Settings):
    """When a channel is put aside: fewer than `min_acks` of the sends within `window` were answered."""

    min_acks: Ratio = 0.5
    window: Duration = 60.0
    quarantine: Duration = 5 * MINUTE


class TemplateSettings(Settings):
    """An approved template: the regular expression that finds its text, and the parameters taken from it."""

    name: TemplateName
    language: Language
    match: Regex | None = None  # absent: sent only to accounts that name it, see template_directive
    body: Body = ()
    ttl: Duration | None = None
    text: ApprovedText | None = None  # with {{1}} or {{name}}
    category: Literal["utility", "authentication", "marketing"] = "utility"

    def compiled(self) -> re.Pattern[str] | None:
        """The expression as it is used: with fullmatch, '.' matching line breaks."""
        return re.compile(self.match, re.DOTALL) if self.match is not None else None


def of_360dialog(url: str) -> bool:
    """Does this URL belong to 360dialog, which passes the Cloud API on?"""
    return bool(re.match(r"https?://(?:[\w.-]+\.)?360dialog\.io(?::\d+)?(?:/|$)", url, re.IGNORECASE))


class SenderSettings(Settings):
    """One of several senders of a channel. What is None is as the channel has it; name None: see `sender_name`."""

    instance: Text
    name: Name | None = None
    url: HttpUrl | None = Field(default=None, repr=False)
    api_key: Secret | None = None
    app_secret: Secret | None = None
    webhook_secret: Secret | None = None
    verify_token: Secret | None = None
    business_account: Text | None = None
    throughput: Rate | None = None
    limits: LimitSettings | None = None


def sender_name(instance: str) -> str:
    """What a sender is called where nobody named it: its instance; the last four digits of what may be a number."""
    digits = re.sub(r"\D", "", instance)
    return f"…{digits[-4:]}" if len(digits) >= 8 else instance


class BridgeSettings(Settings):
    """A channel to WhatsApp. `instance` is the session, or the phone_number_id of cloud_api. Exactly one of instance
    and senders is given."""

    name: Name
    provider: Literal["evolution", "waha", "wppconnect", "cloud_api"]
    url: HttpUrl = Field(repr=False)  # without a slash at its end
    api_key: Secret = SecretStr("")  # may be missing where every sender has its own
    instance: Text = ""
    senders: tuple[SenderSettings, ...] = ()
    app_secret: Secret | None = None
    webhook_secret: Secret | None = None
    verify_token: Secret | None = None
    business_account: Text | None = None  # of Meta; senders of one are closed together when Meta closes it
    direct_send: Flag = False
    throughput: Rate = 20.0
    timeout: Duration = 10.0
    price: Money = Decimal("0.00")  # per delivered message
    delete_before_sms: Flag = False  # of a text that nobody heard of; not on cloud_api
    lookup: LookupSettings = LookupSettings()
    health: HealthSettings = HealthSettings()
    limits: LimitSettings = LimitSettings()
    templates: tuple[TemplateSettings, ...] = ()

    @property
    def resold(self) -> bool:
        """cloud_api through 360dialog: another key in the header, no phone number id in paths, unsigned webhooks."""
        return self.provider == "cloud_api" and of_360dialog(self.url)

    @property
    def of_several(self) -> bool:
        return len(self.senders) > 1

    def apart(self) -> dict[str, BridgeSettings]:
        """Each sender by its name: the channel's settings with what is the sender's own in place."""
        if not self.senders:
            return {sender_name(self.instance): self}
        named = {one.name or sender_name(one.instance): one for one in self.senders}
        return {
            name: self.model_copy(update={k: v for k, v in one if k != "name" and v is not None})
            for name, one in named.items()
        }

    @model_validator(mode="before")
    @classmethod
    def _unasked_is_sent(cls, values: Any) -> Any:
        """cloud_api cannot be asked, so there `when_unknown` is `send` unless it is given."""
        if isinstance(values, dict) and values.get("provider") == "cloud_api":
            lookup = values.get("lookup", {})
            if isinstance(lookup, LookupSettings):
                lookup = lookup.model_dump(exclude_unset=True)
            if isinstance(lookup, dict) and "when_unknown" not in lookup:
                return {**values, "lookup": {**lookup, "when_unknown": "send"}}
        return values


class WhenSettings(Settings):
    """What a route applies to; everything that is given must match. Empty tuples and None match everything."""

    account: Annotated[tuple[Text, ...], OneOrMore] = ()
    to: Annotated[tuple[Prefix, ...], OneOrMore] = ()  # E.164 digits, no plus
    from_: Annotated[tuple[SourceAddr, ...], OneOrMore] = Field(default=(), alias="from")
    text: Regex | None = None
    data_coding: Annotated[tuple[Octet, ...], OneOrMore] = ()
    hours: Hours | None = None  # minutes since midnight, (from, to); from > to runs over midnight
    days: Annotated[tuple[Day, ...], OneOrMore] = ()


class RouteSettings(Settings):
    """Channels in order of preference, for what `when` describes. fallback_after None: a single channel."""

    name: Name
    when: WhenSettings | None = None
    channels: Annotated[tuple[Name, ...], OneOrMore, Field(min_length=1)]
    fallback_after: Duration | None = None
    fallback: Literal["sms", "none"] = "sms"  # none: it is meant that nothing comes after WhatsApp
    success: Literal["delivered", "sent"] = "delivered"
    priority: Literal["high", "normal", "low"] = "normal"


class ReplySettings(Settings):
    """Who gets what people write: to these addresses of ours, on these channels. Empty tuples match everything."""

    to: Annotated[tuple[SourceAddr, ...], OneOrMore] = ()
    channel: Annotated[tuple[Name, ...], OneOrMore] = ()
    account: SystemId
    always: Flag = False  # also when another account wrote to that person last


class HttpSettings(Settings):
    """Webhooks, health, metrics and the admin part."""

    listen: Listeners = ("tcp:8081:interface=127.0.0.1",)
    admin_token: Secret | None = None


class LogSettings(Settings):
    """How the gateway talks to its operator."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warn", "error", "critical"] = "info"
    redact: Flag = True


def host_name() -> str:
    """The host's name, with anything a node name may not hold turned into dashes."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "-", socket.gethostname())[:40].lstrip(".-") or "node"


class Config(Settings):
    """One configuration file."""

    node: Name = Field(default_factory=host_name)
    currency: Currency = "BRL"
    country: Country = "BR"
    dry_run: DryRun = False  # True: nothing leaves; lookups: only they do
    store: StoreSettings = StoreSettings()
    smpp_server: SmppServerSettings = SmppServerSettings()
    smsc_client: tuple[SmscSettings, ...] = ()
    bridge: tuple[BridgeSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    replies: tuple[ReplySettings, ...] = ()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
