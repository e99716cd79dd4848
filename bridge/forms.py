"""What one official sender may say now: its templates but for those that are put aside, and Direct Send while it works.

Scopes stay apart: whatever is wrong with one template closes neither the others nor the sender.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bridge.templates import DirectText, Form, Template, TemplateText, choose
from gateway.messages.outcome import Accepted, AttemptResult, Refused

if TYPE_CHECKING:
    from config.schema import BridgeSettings

ASIDE_S = 3600.0  # Meta's own first pause of a template is three hours; a good word of its webhook ends ours at once
FAULTS = 3  # in a row: then it is not the message that is wrong

Key = tuple[str, str]  # name and language of a template


class Forms:
    """Told what became of every send, it chooses the form of the next one. Times in seconds."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._templates = tuple(
            Template(one.name, one.language, one.compiled(), one.body, one.ttl or 0.0, one.text or "", one.category)
            for one in settings.templates
        )
        self.direct_send = settings.direct_send
        self._aside: dict[Key, float] = {}  # until when
        self._faults: dict[Key, int] = {}

    def form_of(self, text: str, *, window_open: bool, ttl: float, now: float) -> Form | None:
        """None: there is no way to say it; the next channel."""
        return choose(text, self._usable(now), window_open=window_open, direct_send=self.direct_send, ttl=ttl)

    def unmatched(self, text: str) -> bool:
        """Is this a text that no template stands for, be it put aside or not?"""
        return not any(one.pattern is not None and one.pattern.fullmatch(text) for one in self._templates)

    def named(self, name: str, values: Sequence[str], now: float) -> Form | None:
        """The template of this name with these parameters; None when there is none that may be used and takes them."""
        for template in self._usable(now):
            if template.name == name and (form := template.named(values)) is not None:
                return form
        return None

    def _usable(self, now: float) -> Iterator[Template]:
        for template in self._templates:
            if self._aside.get((template.name, template.language), 0.0) <= now:
                yield template

    def told(self, form: Form, result: AttemptResult, now: float) -> None:
        """What became of a send."""
        match form, result:
            case DirectText(), Refused(reason="direct_send_off"):
                self.direct_send = False
            case TemplateText(name=name, language=language), Refused(reason="template_paused"):
                self._aside[name, language] = now + ASIDE_S
            case TemplateText(name=name, language=language), Refused(reason="template"):
                faults = self._faults.get((name, language), 0) + 1
                self._faults[name, language] = faults
                if faults >= FAULTS:
                    self._aside[name, language] = now + ASIDE_S
            case TemplateText(name=name, language=language), Accepted():
                self._faults.pop((name, language), None)

    def template_is(self, name: str, language: str, usable: bool, now: float) -> bool:
        """The service told by itself that a template may be used, or may not. Does that change one of ours?"""
        self._faults.pop((name, language), None)
        ours = any((one.name, one.language) == (name, language) for one in self._templates)
        was_usable = self._aside.get((name, language), 0.0) <= now
        if usable:
            self._aside.pop((name, language), None)
        else:
            self._aside[name, language] = now + ASIDE_S
        return ours and usable != was_usable
