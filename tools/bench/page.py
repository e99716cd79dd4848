"""The section of docs/performance.md that a full run writes, between two markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.bench.table import HEAD, Result, cells, remarks

BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"


class NoMarkers(Exception):
    """The page has no place for the section."""


def with_section(page: str, section: str) -> str:
    """The page with this section in its place; what an earlier run wrote goes."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarkers(f"the page has no lines {BEGIN!r} and {END!r}, between which the figures belong")
    return f"{before}{begin}\n\n{section.strip()}\n\n{end}{after}"


def section(results: Sequence[Result], facts: Mapping[str, str], day: str) -> str:
    """Machine, versions, commands, medians and spread, in Markdown."""
    met = sum(result.met is True for result in results)
    lines = [
        "## The goals, measured",
        "",
        f"Written on {day} by `POMBO_BENCH=/path/to/smppbench.c make bench`: {met} of {len(results)} goals met.",
        "Median, least and most of so many runs; T is what the load tool does alone, taken right before each run.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|---|---|" + "---:|" * 5 + "---|---|",
        *("| " + " | ".join(_shown(result)) + " |" for result in results),
        "",
        *(f"- {remark}" for remark in remarks(results)),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
    ]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _shown(result: Result) -> tuple[str, ...]:
    name, title, value, *rest = cells(result)
    return (f"`{name}`", title, f"**{value}**" if value else "", *rest)
