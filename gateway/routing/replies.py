"""Who gets what people write: the account that wrote to them last, unless a table says otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class ReplyRule(msgspec.Struct, frozen=True):
    """An account, and what goes to it. `to` and `channels` that are empty match everything; a text by WhatsApp is
    written to no address. always: also when another account wrote to that person last. address: of the account, for
    texts that were written to none."""

    account: str
    to: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    always: bool = False
    address: str = ""

    def takes(self, to: str, channel: str) -> bool:
        return (not self.to or to in self.to) and (not self.channels or channel in self.channels)


def named(rules: Sequence[ReplyRule], to: str, channel: str, *, always: bool) -> ReplyRule | None:
    """The first rule of this kind that takes a text; None where none does."""
    for rule in rules:
        if rule.always == always and rule.takes(to, channel):
            return rule
    return None
