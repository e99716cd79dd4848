"""What concerns more than one key: duplicates, dangling names, unreachable routes, keys that need each other.

Works on the values as read, not on the models, so that it still speaks when some other key is wrong; it passes over
everything that has not the right shape, because the models have said so already.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Iterator
from typing import Any, get_args

from config import certificates, endpoints, quirks, units
from config.document import Document, Path, dotted
from config.fields import shown
from config.schema import Weekday, of_360dialog, sender_name


def between(document: Document) -> None:
    """Add what is wrong between keys to the document's errors."""
    values = document.values
    accounts = _accounts(document, values)
    channels = _channels(document, values)
    _routes(document, values, accounts, channels)
    _replies(document, values, accounts, channels)
    _listeners(document, values)
    _store(document, values)


def _store(document: Document, values: Any) -> None:
    store = values.get("store") if isinstance(values, dict) else None
    if not isinstance(store, dict) or not isinstance(store.get("replicas"), int) or store["replicas"] <= 0:
        return
    if store.get("url", "embedded") == "embedded" and not _given(document, ("store",), {}, "url"):
        path = ("store", "replicas")
        document.error(
            path, "the embedded store has no replicas; leave it out, or name an own store", document.key_line(path)
        )


def _items(values: Any, *keys: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings of the list at a path."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    if isinstance(values, list):
        for index, item in enumerate(values):
            if isinstance(item, dict):
                yield (*keys, index), item


def _unique(document: Document, seen: dict[str, Path], path: Path, name: Any, what: str) -> None:
    """Note a name; an error when another thing already has it."""
    if not isinstance(name, str):
        return
    if name in seen:
        where = f"{dotted(seen[name])}, line {document.line(seen[name])}"
        document.error(path, f"another {what} has this name ({where}); give it its own")
    else:
        seen[name] = path


def _unread(document: Document, path: Path, name: Any) -> bool:
    """Whether a name is missing or wrong, so that nothing can be said about those who use it."""
    return not isinstance(name, str) or any(wrong == path for _, wrong, _ in document.errors)


def _given(document: Document, path: Path, item: dict[str, Any], key: str) -> bool:
    """Whether a key is there; one whose reference could not be filled in counts."""
    return item.get(key) is not None or (*path, key) in document.spoilt


def _accounts(document: Document, values: Any) -> set[str] | None:
    """The accounts' names; None when they cannot all be known."""
    seen: dict[str, Path] = {}
    unread = False
    for path, account in _items(values, "smpp_server", "accounts"):
        unread |= _unread(document, (*path, "system_id"), account.get("system_id"))
        _unique(document, seen, (*path, "system_id"), account.get("system_id"), "account")
        both = [key for key in ("password", "password_hash") if _given(document, path, account, key)]
        if len(both) == 2:
            what = "is given beside password; keep one of them"
            document.error((*path, "password_hash"), what, document.key_line((*path, "password_hash")))
        elif not both:
            what = "is missing; write password: ${NAME}, or password_hash: with what `pombo hash` prints"
            document.error((*path, "password"), what, document.key_line(path))
        wrong = quirks.contradiction(name for _, name in _texts(account.get("quirks")))
        if wrong is not None:
            document.error((*path, "quirks"), wrong)
    return None if unread else set(seen)


def _channels(document: Document, values: Any) -> set[str] | None:
    """The channels' names; None when they cannot all be known."""
    seen: dict[str, Path] = {}
    unread = False
    for path, channel in _items(values, "smsc_client"):
        unread |= _unread(document, (*path, "name"), channel.get("name"))
        _unique(document, seen, (*path, "name"), channel.get("name"), "channel")
        _reconnect(document, path, channel.get("reconnect"))
    for path, channel in _items(values, "bridge"):
        unread |= _unread(document, (*path, "name"), channel.get("name"))
        _unique(document, seen, (*path, "name"), channel.get("name"), "channel")
        for sender_path, sender in _senders(document, path, channel):
            if not _given(document, sender_path, sender, "api_key"):
                what = "is missing; write api_key: ${NAME} or ${file:/path}"
                document.error((*sender_path, "api_key"), what, document.key_line(sender_path))
            if channel.get("provider") == "cloud_api":
                _cloud_api(document, sender_path, sender)
        for template_path, template in _items({"templates": channel.get("templates")}, "templates"):
            _template(document, (*path, *template_path), template)
    return None if unread else set(seen)


def _reconnect(document: Document, path: Path, reconnect: Any) -> None:
    if not isinstance(reconnect, dict):
        return
    try:
        initial = units.duration(str(reconnect.get("initial", "1s")))
        longest = units.duration(str(reconnect.get("max", "60s")))
    except ValueError:
        return
    if initial > longest:
        document.error((*path, "reconnect"), "initial is longer than max; let max be the longer one")


def _senders(document: Document, path: Path, channel: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """Each sender of a channel with what it takes over from it; the channel itself where it is its own sender."""
    listed = list(_items({"senders": channel.get("senders")}, "senders"))
    one = _given(document, path, channel, "instance")
    if one and channel.get("senders") is not None:
        what = "is given beside senders; write it as one of them, or remove senders"
        document.error((*path, "instance"), what, document.key_line((*path, "instance")))
    elif not one and channel.get("senders") in (None, []):
        what = "is missing; write the instance, session or phone_number_id, or several of them under senders"
        document.error((*path, "instance"), what, document.key_line(path))
    instances: dict[str, Path] = {}
    names: dict[str, Path] = {}
    for sender_path, sender in listed:
        place, instance, name = (*path, *sender_path), sender.get("instance"), sender.get("name")
        _unique(document, instances, (*place, "instance"), instance, "sender of this channel")
        if isinstance(name, str) and len(re.sub(r"\D", "", name)) >= 8:
            what = "may be a telephone number, and stands in logs and metrics; write another, such as sales"
            document.error((*place, "name"), what)
        if isinstance(instance, str) and name is None:
            name = sender_name(instance)
            if name in names:
                what = f"is called {name}, as another sender of this channel; give it a name:"
                document.error((*place, "instance"), what)
                continue
        _unique(document, names, (*place, "name"), name, "sender of this channel")
    spoilt = [str(where[-1]) for where in document.spoilt if where[:-1] == path]
    inherited = {**channel, **dict.fromkeys(spoilt, "")}
    return [((*path, *at), {**inherited, **sender}) for at, sender in listed] or [(path, channel)]


def _cloud_api(document: Document, path: Path, channel: dict[str, Any]) -> None:
    url = channel.get("url")
    if isinstance(url, str) and of_360dialog(url):
        if not _given(document, path, channel, "webhook_secret"):
            what = "is missing; 360dialog signs nothing: write webhook_secret: ${NAME}, and ?key= in the webhook's URL"
            document.error((*path, "webhook_secret"), what, document.key_line(path))
        return
    if not _given(document, path, channel, "app_secret"):
        what = "is missing; cloud_api needs it to know its webhooks: write app_secret: ${NAME} or ${file:/path}"
        document.error((*path, "app_secret"), what, document.key_line(path))
    if isinstance(url, str) and url.startswith("http") and not re.search(r"/v\d{1,3}\.\d{1,2}/?$", url):
        document.error((*path, "url"), "lacks the version; write one such as https://graph.facebook.com/v25.0")


def _template(document: Document, path: Path, template: dict[str, Any]) -> None:
    """Every named group of `match` is used in `body`, and every parameter of `body` is a named group."""
    match, body = template.get("match"), template.get("body", [])
    texts = list(body.values()) if isinstance(body, dict) else body
    _template_text(document, path, template.get("text"), body)
    _template_category(document, path, template, body)
    if not isinstance(match, str) or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return
    try:
        groups = set(re.compile(match).groupindex)
    except (re.error, OverflowError, RecursionError):
        return
    used: set[str] = set()
    for text in texts:
        try:
            used |= {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError:
            what = "has a brace without its partner; write parameters as {name}, a brace as {{ or }}"
            document.error((*path, "body"), what)
            return
    for name in sorted(used - groups):
        near = difflib.get_close_matches(name, groups, 1)
        hint = f"; did you mean {{{near[0]}}}?" if near else f"; match has {_names(groups)}"
        document.error((*path, "body"), f"uses {{{name}}}, which is no named group of match{hint}")
    for name in sorted(groups - used):
        document.error((*path, "body"), f"does not use the group {name} of match; write {{{name}}} or unname the group")


def _template_text(document: Document, path: Path, text: Any, body: Any) -> None:
    """The places in the approved text are the parameters that `body` gives."""
    if not isinstance(text, str) or not isinstance(body, (list, dict)) or not body:
        return
    places = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text))
    given = set(body) if isinstance(body, dict) else {str(number) for number in range(1, len(body) + 1)}
    if places != given:
        what = f"has the places {_names(places)}, and body gives {_names(given)}; write the template as it was approved"
        document.error((*path, "text"), what)


def _template_category(document: Document, path: Path, template: dict[str, Any], body: Any) -> None:
    """An authentication template carries a code, and nothing else."""
    if template.get("category") == "authentication" and (not isinstance(body, list) or len(body) != 1):
        what = "of an authentication template has one item, the code; write body: ['{codigo}']"
        document.error((*path, "body"), what, document.key_line(path))


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _routes(document: Document, values: Any, accounts: set[str] | None, channels: set[str] | None) -> None:
    seen: dict[str, Path] = {}
    earlier: list[tuple[Path, Any, dict[str, Any] | None]] = []
    for path, route in _items(values, "routes"):
        _unique(document, seen, (*path, "name"), route.get("name"), "route")
        _route_channels(document, path, route, channels)
        when = route.get("when")
        if isinstance(when, dict):
            for index, name in _texts(when.get("account")):
                if accounts is not None and name not in accounts:
                    _dangling(document, (*path, "when", "account", *index), name, accounts, "account")
        conditions = _conditions(when)
        for first, first_name, before in earlier:
            if before is not None and conditions is not None and _covers(before, conditions):
                where = f"{first_name or dotted(first)} (line {document.line(first)})"
                right = "move this one above it, narrow that one, or remove one"
                document.error(path, f"is never reached, because {where} takes all that it would take; {right}")
                break
        earlier.append((path, route.get("name"), conditions))


def _route_channels(document: Document, path: Path, route: dict[str, Any], channels: set[str] | None) -> None:
    names = list(_texts(route.get("channels")))
    for place, (index, name) in enumerate(names):
        if name in [other for _, other in names[:place]]:
            document.error((*path, "channels", *index), f"{shown(name)} is listed twice; keep the first")
        elif channels is not None and name not in channels:
            _dangling(document, (*path, "channels", *index), name, channels, "channel")
    if len(names) > 1 and not _given(document, path, route, "fallback_after"):
        what = "is missing; a route with more than one channel needs it: write fallback_after: 10m"
        document.error((*path, "fallback_after"), what, document.key_line(path))


def _texts(value: Any) -> Iterator[tuple[Path, str]]:
    """The texts of a list, or the one text that stands for it, with the rest of the path."""
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield (index,), item


def _dangling(document: Document, path: Path, name: str, known: set[str], what: str) -> None:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there is {_names(known)}"
    document.error(path, f"no {what} is called {shown(name)}; {hint}")


DAY_MINUTES = 1440
_LISTS = ("account", "to", "from", "data_coding", "days")
# What the absence of a condition stands for.
_ALWAYS = {"days": frozenset(get_args(Weekday)), "hours": (0, DAY_MINUTES)}


def _conditions(when: Any) -> dict[str, Any] | None:
    """A route's conditions, lists as frozensets, hours as minutes of the day they begin on; those that match everything
    left out. None when unreadable."""
    if when is None:
        return {}
    if not isinstance(when, dict):
        return None
    out: dict[str, Any] = {}
    for key, value in when.items():
        if key in _LISTS:
            items = value if isinstance(value, list) else [value]
            if any(isinstance(item, (dict, list)) or item is None for item in items):
                return None
            if items:
                out[key] = frozenset(_same(key, item) for item in items)
        elif key == "hours" and isinstance(value, str):
            try:
                start, end = units.hours(value)
            except ValueError:
                return None
            out[key] = start, end if start < end else end + DAY_MINUTES
        elif value is not None:
            out[key] = value
    if out.get("days") == _ALWAYS["days"]:
        del out["days"]
    elif "days" in out:  # these end at midnight, where hours may run on into the next day
        out.setdefault("hours", _ALWAYS["hours"])
    return out


def _same(key: str, item: Any) -> Any:
    """An item of a condition in the one form that is compared."""
    if key == "to":
        return str(item).lstrip("+")
    return item.lower() if key == "days" and isinstance(item, str) else item


def _covers(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether every message that the second's conditions let through is let through by the first's."""
    for key, allowed in first.items():
        wanted = second.get(key, _ALWAYS.get(key))
        if wanted is None:
            return False
        if key == "to":
            if not all(any(prefix[:n] in allowed for n in range(1, len(prefix) + 1)) for prefix in wanted):
                return False
        elif key in _LISTS:
            if not wanted <= allowed:
                return False
        elif key == "hours":
            if wanted[0] < allowed[0] or wanted[1] > allowed[1]:
                return False
        elif wanted != allowed:
            return False
    return True


def _certificates(document: Document, path: Path, listener: dict[str, str]) -> None:
    try:
        certificates.check(listener)
    except ValueError as wrong:
        document.error(path, f"{wrong}; name files in PEM that belong together")


def _replies(document: Document, values: Any, accounts: set[str] | None, channels: set[str] | None) -> None:
    earlier: list[tuple[Path, bool, dict[str, Any]]] = []
    for path, reply in _items(values, "replies"):
        account = reply.get("account")
        if accounts is not None and isinstance(account, str) and account not in accounts:
            _dangling(document, (*path, "account"), account, accounts, "account")
        for index, name in _texts(reply.get("channel")):
            if channels is not None and name not in channels:
                _dangling(document, (*path, "channel", *index), name, channels, "channel")
        always = reply.get("always") is True
        conditions = {key: frozenset(text for _, text in _texts(reply.get(key))) for key in ("to", "channel")}
        conditions = {key: texts for key, texts in conditions.items() if texts}
        for first, before_always, before in earlier:
            if before_always == always and all(key in conditions and conditions[key] <= before[key] for key in before):
                where = f"{dotted(first)} (line {document.line(first)})"
                document.error(path, f"is never reached, because {where} takes all that it would take; remove one")
                break
        earlier.append((path, always, conditions))


def _listeners(document: Document, values: Any) -> None:
    """Two listeners on one port and interface."""
    seen: dict[tuple[str, str], Path] = {}
    for section in ("smpp_server", "http"):
        inside = values.get(section)
        listen = inside.get("listen") if isinstance(inside, dict) else None
        for index, text in _texts(listen):
            try:
                found = endpoints.server(text)
            except ValueError:
                continue
            if found["kind"] == "ssl":
                _certificates(document, (section, "listen", *index), found)
            port, path = found.get("port", "0"), (section, "listen", *index)
            if int(port) == 0:
                continue
            key = (str(int(port)), found.get("interface", ""))
            if key in seen:
                document.error(path, f"is the port of {dotted(seen[key])} too; give each listener its own")
            else:
                seen[key] = path
