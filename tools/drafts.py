"""One shape of `pombo unmatched` as lines: how often it came, the template to have approved, the rule to write."""

from __future__ import annotations

from typing import Any

from tools.terminal import Terminal, harmless


def lines(one: dict[str, Any], terminal: Terminal) -> list[str]:
    """one: an entry of GET /admin/unmatched."""
    template = one["template"]
    times = "once" if one["count"] == 1 else f"{one['count']} times"
    shown = [f"{terminal.paint(times, 'bold')} on {one['channel']}"]
    shown += _indented(one["shape"])
    shown.append(f"  template {template['name']}, {template['language']}, {template['category'].lower()}:")
    shown += _indented(template["body"], 4)
    if template["samples"]:
        shown.append(f"    samples: {' | '.join(template['samples'])}")
    shown += [f"  {terminal.paint('mind', 'yellow')}: {doubt}" for doubt in one["doubts"]]
    shown.append("  rule, under templates: of the channel, once the template is approved:")
    return shown + _indented(one["rule"], 4)


def _indented(text: str, by: int = 2) -> list[str]:
    return [f"{' ' * by}{harmless(line)}" for line in text.split("\n")]
