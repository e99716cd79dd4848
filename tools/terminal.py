"""Colour, alignment and a live region, where the output is a terminal; plain text where it is not."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TextIO

CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
PLAIN_WIDTH = 140  # columns where nobody says how many there are
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def width_of(text: str) -> int:
    """Columns a text takes on a terminal: escapes none, wide characters two."""
    plain = _ESCAPE.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)


def pad(text: str, width: int, right: bool = False) -> str:
    """A text filled up to a number of columns."""
    space = " " * max(0, width - width_of(text))
    return space + text if right else text + space


def harmless(text: str) -> str:
    """A text from outside, without characters that would steer the terminal."""
    return _CONTROL.sub("?", text)


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Colours on terminals, unless NO_COLOR or TERM=dumb; FORCE_COLOR asks for them anywhere."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


class Terminal:
    """Where a command writes. Lines stay; the live region below them is drawn again and again."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self.colour = wants_colour(stream, environ)
        self.live = stream.isatty() and environ.get("TERM") != "dumb"
        self._region = 0  # lines of the live region on the screen
        self.unicode = "utf" in (getattr(stream, "encoding", "") or "").lower()
        self.arrow = "→" if self.unicode else "->"

    @property
    def width(self) -> int:
        """Columns to fill."""
        return shutil.get_terminal_size().columns if self.live else PLAIN_WIDTH

    @property
    def height(self) -> int:
        return shutil.get_terminal_size().lines

    def paint(self, text: str, *styles: str) -> str:
        """A text in the named styles of CODES, where colours are wanted."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(CODES[style] for style in styles)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """Write one line (or several) that stays, above the live region."""
        self._erase()
        self._write(text + "\n")

    def region(self, lines: Sequence[str]) -> None:
        """Show these lines below everything else until the next call; nothing where the output is no terminal."""
        if not self.live:
            return
        self._erase()
        shown = [clip(line, self.width - 1) for line in lines[: max(1, self.height - 2)]]
        if shown:
            self._write("\n".join(shown) + "\n")
        self._region = len(shown)

    def _erase(self) -> None:
        if self._region:
            self._write(f"\x1b[{self._region}A\x1b[J")
            self._region = 0

    def _write(self, text: str) -> None:
        if not self.unicode:
            encoding = getattr(self._stream, "encoding", None) or "ascii"
            text = text.encode(encoding, "replace").decode(encoding)
        self._stream.write(text)
        self._stream.flush()


def clip(text: str, width: int) -> str:
    """A line that fits: cut at so many columns, colours ended."""
    if width_of(text) <= width:
        return text
    out, used, at = [], 0, 0
    while at < len(text):
        escape = _ESCAPE.match(text, at)
        if escape:
            out.append(escape[0])
            at = escape.end()
            continue
        used += width_of(text[at])
        if used > width:
            break
        out.append(text[at])
        at += 1
    return "".join(out) + ("\x1b[0m" if "\x1b" in text else "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Aligned lines, the header first; `right` are the columns flush right."""
    widths = [max(width_of(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  ".join(pad(cell, widths[column], column in right) for column, cell in enumerate(row)).rstrip()
        for row in [header, *rows]
    ]
