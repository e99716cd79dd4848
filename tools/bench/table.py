"""The table: from rounds of figures to rows with a median, a spread, a ratio to T, a goal, and whether it was met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

Figures = Mapping[str, float]
"""What one scene measured."""
Round = Mapping[str, Figures]
"""Scenes by name, each measured once, one after the other."""

TOOL = "T"  # the figure of a scene that says what the load tool did alone, right before it


class Goal(msgspec.Struct, frozen=True):
    """What a value should be. or_ratio: a ratio to T that is as good."""

    bound: float
    kind: Literal["at least", "at most"] = "at least"
    or_ratio: float | None = None

    def met(self, value: float, ratio: float | None) -> bool:
        if self.kind == "at most":
            return value <= self.bound
        by_ratio = self.or_ratio is not None and ratio is not None and ratio >= self.or_ratio
        return value >= self.bound or by_ratio


class Row(msgspec.Struct, frozen=True):
    """One line of the table.

    scenes: what it is made of. value: of one round that has them all. of_tool: the scene whose T the value is divided
    by, for rates. worst: the row says the worst value of all rounds, for what may never happen, instead of the median.
    """

    name: str
    title: str
    scenes: tuple[str, ...]
    value: Callable[[Round], float]
    goal: Goal
    unit: str = ""
    digits: int = 0
    of_tool: str = ""
    worst: bool = False


class Result(msgspec.Struct, frozen=True):
    """A row, measured. values: one a round; none where it could not be measured, and `why` says why not. note: in what
    way it was smaller than the goal speaks of."""

    row: Row
    values: tuple[float, ...] = ()
    ratio: float | None = None
    why: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        """What the row says. Only where there are values."""
        if not self.row.worst:
            return median(self.values)
        return max(self.values) if self.row.goal.kind == "at most" else min(self.values)

    @property
    def met(self) -> bool | None:
        """None: not measured."""
        return self.row.goal.met(self.value, self.ratio) if self.values else None


def result(row: Row, rounds: Sequence[Round], why: Mapping[str, str], note: str = "") -> Result:
    """why: scenes that failed, and of what."""
    usable = [one for one in rounds if all(scene in one for scene in row.scenes)]
    if not usable:
        reasons = [f"{scene}: {why[scene]}" for scene in row.scenes if scene in why]
        return Result(row, why="; ".join(reasons) or "not measured")
    values = [row.value(one) for one in usable]
    ratios = [
        value / one[row.of_tool][TOOL]
        for value, one in zip(values, usable, strict=True)
        if row.of_tool and one[row.of_tool].get(TOOL)
    ]
    return Result(row, tuple(values), median(ratios) if ratios else None, note=note)


# ---- words

HEAD = ("row", "", "median", "from", "to", "runs", "/ T", "goal", "met")


def number(value: float, row: Row) -> str:
    """With the unit, thousands apart."""
    text = f"{value:,.{row.digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return f"{text} {row.unit}".rstrip()


def goal_words(row: Row) -> str:
    sign = "≥" if row.goal.kind == "at least" else "≤"
    words = f"{sign} {number(row.goal.bound, row)}"
    return words if row.goal.or_ratio is None else f"{words} or {row.goal.or_ratio:g} T"


def cells(result: Result) -> tuple[str, ...]:
    """The words of one line, as HEAD names them."""
    row = result.row
    if not result.values:
        return (row.name, row.title, "", "", "", "0", "", goal_words(row), "not measured")
    low, high = min(result.values), max(result.values)
    ratio = "" if result.ratio is None else f"{result.ratio:.4f}"
    met = ("yes" if result.met else "no") + ("*" if result.note else "")
    middle = (number(result.value, row), number(low, row), number(high, row), str(len(result.values)))
    return (row.name, row.title, *middle, ratio, goal_words(row), met)


def remarks(results: Sequence[Result]) -> list[str]:
    """What the cells have no room for."""
    return [
        f"{'*' if result.note else ''}{result.row.name}: {result.note or result.why}"
        for result in results
        if result.note or not result.values
    ]


def text_table(results: Sequence[Result]) -> str:
    """For a terminal."""
    lines = [HEAD, *map(cells, results)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEAD))]
    right = {2, 3, 4, 5, 6}
    shown = [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:], *remarks(results)])
