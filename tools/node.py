"""How a command finds the running node: the configuration file names its HTTP listener, its admin token and its store.

Only these parts are read, so that a shell without the gateway's other secrets can ask a node how it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError

from config import document, endpoints
from config.references import Resolver
from config.schema import HttpSettings, StoreSettings

DEFAULT_CONFIG, SYSTEM_CONFIG = "config/pombo.yaml", "/etc/pombo/pombo.yaml"
TIMEOUT_S = 10.0
RESEND_S = 600.0  # for as many as there are
M = TypeVar("M", bound=BaseModel)


class NodeError(Exception):
    """The node cannot be found or asked; the text is one line for the person at the terminal."""


def config_path(environ: Mapping[str, str], given: str | None = None, system: str = SYSTEM_CONFIG) -> str:
    """The configuration file: as given, else POMBO_CONFIG, else config/pombo.yaml, or that of a service where there is
    none here."""
    named = given or environ.get("POMBO_CONFIG")
    if named:
        return named
    return system if os.path.exists(system) and not os.path.exists(DEFAULT_CONFIG) else DEFAULT_CONFIG


def section(path: str, environ: Mapping[str, str], name: str, model: type[M]) -> M:
    """One section of a configuration file. NodeError when the file or that section cannot be read."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}; set POMBO_CONFIG to the node's configuration file") from None
    read = document.read(data, Resolver(environ, os.path.dirname(os.path.abspath(path))))
    wrong = [(line, at, what) for line, at, what in read.errors if not at or at[0] == name]
    if wrong or not isinstance(read.values, dict):
        line, at, what = wrong[0] if wrong else (1, (), "is not a mapping")
        raise NodeError(f"{path}:{line}: {document.dotted(at)}: {what}")
    try:
        return model.model_validate(read.values.get(name) or {}, context={"file": True})
    except ValidationError:
        raise NodeError(f"{path}: {name}: has errors; `pombo check {path}` names them") from None


def url_of(listeners: tuple[str, ...]) -> str:
    """Where to reach the first TCP or TLS listener among Twisted endpoint strings."""
    for listener in listeners:
        kind, positional, keywords = endpoints.split(listener)
        if kind not in ("tcp", "tcp6", "ssl"):
            continue
        port = keywords.get("port") or (positional[0] if positional else "")
        host = keywords.get("interface") or (positional[1] if kind == "tcp" and len(positional) > 1 else "")
        if host in ("", "0.0.0.0"):
            host = "127.0.0.1"
        elif host == "::":
            host = "::1"
        return f"{'https' if kind == 'ssl' else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    raise NodeError("http.listen: names no TCP listener that a command could use")


class Node:
    """A running node, asked over HTTP. Every method raises NodeError when it cannot be asked."""

    def __init__(self, url: str, token: str = "", *, verify: bool | str = True) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between a command and its own node
        self._session.verify = verify
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}".encode()

    def __repr__(self) -> str:
        return f"Node({self.url!r})"

    @classmethod
    def find(cls, environ: Mapping[str, str], path: str | None = None) -> Node:
        """The node of a configuration file; POMBO_CA names the certificate to trust where the listener is TLS."""
        http = section(config_path(environ, path), environ, "http", HttpSettings)
        token = http.admin_token.get_secret_value() if http.admin_token else ""
        return cls(url_of(http.listen), token, verify=environ.get("POMBO_CA") or True)

    def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        """(HTTP status, the JSON of the answer, or its text where it is none)."""
        try:
            response = self._session.request(method, self.url + path, **{"timeout": TIMEOUT_S, **arguments})
        except requests.exceptions.SSLError:
            raise NodeError(f"the node's certificate at {self.url} is not trusted; name it in POMBO_CA") from None
        except requests.exceptions.Timeout:
            raise NodeError(f"the node at {self.url} did not answer within {TIMEOUT_S:g} s") from None
        except requests.exceptions.RequestException:
            raise NodeError(f"the node at {self.url} cannot be reached; is it running?") from None
        if response.status_code == 401:
            right = "POMBO_CONFIG has to name the file it runs with, for its http.admin_token"
            raise NodeError(f"the node at {self.url} refuses the admin token; {right}")
        if response.status_code == 403:
            raise NodeError(f"the node at {self.url} wants http.admin_token set, since its listener is not loopback")
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, response.text

    def _expect(self, method: str, path: str, **arguments: Any) -> Any:
        status, body = self.ask(method, path, **arguments)
        if not 200 <= status < 300 or not isinstance(body, (dict, list)):
            raise self._no_answer(status, body)
        return body

    def _no_answer(self, status: int, body: Any) -> NodeError:
        """In the node's own words where it has some: that its store is away, say."""
        why = body.get("error") if isinstance(body, dict) else ""
        return NodeError(f"the node at {self.url} answered with HTTP {status}{f': {why}' if why else ''}")

    def ready(self) -> bool:
        """Does /readyz say yes?"""
        return self.ask("GET", "/readyz")[0] == 200

    def status(self) -> dict[str, Any]:
        """GET /admin/status."""
        found: dict[str, Any] = self._expect("GET", "/admin/status")
        return found

    def unmatched(self, limit: int = 10) -> list[dict[str, Any]]:
        """GET /admin/unmatched: shapes of texts without a template, commonest first."""
        found: list[dict[str, Any]] = self._expect("GET", "/admin/unmatched", params={"limit": limit})["unmatched"]
        return found

    def message(self, message_id: str) -> dict[str, Any] | None:
        """One message with its events, or None when the node does not know it."""
        path = f"/admin/messages/{quote(os.fsencode(message_id), safe='')}"
        status, body = self.ask("GET", path)
        if status == 404:
            return None
        if status != 200 or not isinstance(body, dict):
            raise self._no_answer(status, body)
        return body

    def messages(self, number: str, limit: int = 10) -> list[dict[str, Any]]:
        """The last messages of a number, newest first."""
        status, body = self.ask("GET", "/admin/messages", params={"number": os.fsencode(number), "limit": limit})
        if status != 200 or not isinstance(body, dict):
            raise self._no_answer(status, body)
        found: list[dict[str, Any]] = body["messages"]
        return found

    def send(self, **fields: str) -> tuple[str, str]:
        """POST /admin/messages: (id, "") or ("", why not)."""
        status, body = self.ask("POST", "/admin/messages", json=fields)
        if status == 202 and isinstance(body, dict):
            return str(body["id"]), ""
        reason = body.get("error") if isinstance(body, dict) else ""
        return "", str(reason or f"the node answered with HTTP {status}")

    def diff(self) -> tuple[list[dict[str, str]], list[str]]:
        """GET /admin/diff: (what a reload would change as place, what, effect; errors of the file)."""
        status, body = self.ask("GET", "/admin/diff")
        if status not in (200, 422) or not isinstance(body, dict):
            raise self._no_answer(status, body)
        return list(body.get("changes", ())), list(body.get("errors", ()))

    def reload(self) -> tuple[list[str], list[str]]:
        """POST /admin/reload: (what changed, errors)."""
        status, body = self.ask("POST", "/admin/reload")
        if status not in (200, 422) or not isinstance(body, dict):
            raise self._no_answer(status, body)
        return list(body.get("changed", ())), list(body.get("errors", ()))

    def config(self) -> tuple[str, list[str]]:
        """GET /admin/config: (YAML, the names of variables that stand for secrets of the file)."""
        found = self._expect("GET", "/admin/config")
        return str(found["yaml"]), list(found["secrets"])

    def export(self, number: str) -> dict[str, Any]:
        """POST /admin/people/export: everything known of a number."""
        status, body = self.ask("POST", "/admin/people/export", json={"number": number}, timeout=RESEND_S)
        if status != 200 or not isinstance(body, dict):
            raise self._no_answer(status, body)
        return body

    def erase(self, number: str, cancel: bool = False) -> tuple[dict[str, Any], str]:
        """POST /admin/people/erase: (what went, "") or ({}, why not) while messages are under way."""
        order = {"number": number, "cancel": cancel}
        status, body = self.ask("POST", "/admin/people/erase", json=order, timeout=RESEND_S)
        if status == 409 and isinstance(body, dict):
            return {}, str(body["error"])
        if status != 200 or not isinstance(body, dict):
            raise self._no_answer(status, body)
        return body, ""

    def resend_receipts(self, account: str, since: float) -> tuple[int, str]:
        """POST /admin/receipts/resend: (how many, "") or (0, why not). since: epoch seconds."""
        order = {"account": account, "since": since}
        status, body = self.ask("POST", "/admin/receipts/resend", json=order, timeout=RESEND_S)
        if status == 200 and isinstance(body, dict):
            return int(body["queued"]), ""
        reason = body.get("error") if isinstance(body, dict) else ""
        return 0, str(reason or f"the node answered with HTTP {status}")


def store_settings(environ: Mapping[str, str], path: str | None = None) -> StoreSettings:
    """The store section of the node's configuration."""
    return section(config_path(environ, path), environ, "store", StoreSettings)
