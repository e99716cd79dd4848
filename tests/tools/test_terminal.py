from __future__ import annotations

import io

import pytest

from tools.terminal import Terminal, clip, harmless, pad, table, wants_colour, width_of


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._tty, self._encoding = tty, encoding

    def isatty(self) -> bool:
        return self._tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


@pytest.mark.parametrize(
    ("tty", "environ", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_those_who_want_them(tty: bool, environ: dict[str, str], expected: bool) -> None:
    assert wants_colour(Screen(tty), environ) is expected


def test_without_a_terminal_there_are_neither_escapes_nor_a_live_region() -> None:
    stream = Screen(tty=False)
    terminal = Terminal(stream, {})
    terminal.region(["under way"])
    terminal.line(terminal.paint("done", "green"))
    assert stream.getvalue() == "done\n"


def test_a_line_goes_above_the_live_region() -> None:
    stream = Screen(tty=True)
    terminal = Terminal(stream, {})
    terminal.region(["one", "two"])
    terminal.line("stays")
    terminal.region(["three"])
    assert stream.getvalue() == "one\ntwo\n\x1b[2A\x1b[Jstays\nthree\n"


def test_an_old_terminal_gets_ascii() -> None:
    stream = Screen(tty=False, encoding="ascii")
    terminal = Terminal(stream, {})
    terminal.line(f"Olá {terminal.arrow}")
    assert stream.getvalue() == "Ol? ->\n"


def test_width_counts_columns_not_characters() -> None:
    assert [width_of(text) for text in ("abc", "\x1b[31mabc\x1b[0m", "ação", "😀", "e\u0301")] == [3, 3, 4, 2, 1]
    assert pad("😀", 4) == "😀  " and pad("\x1b[1m7\x1b[0m", 3, right=True) == "  \x1b[1m7\x1b[0m"


def test_clipping_keeps_escapes_and_ends_them() -> None:
    assert clip("\x1b[31mabcdef\x1b[0m", 3) == "\x1b[31mabc\x1b[0m"
    assert clip("abc", 3) == "abc"


def test_tables_are_aligned() -> None:
    assert table(("A", "N"), [("long name", "1"), ("b", "200")], frozenset({1})) == [
        "A            N",
        "long name    1",
        "b          200",
    ]


def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    assert harmless("a\x1b[2Jb\u009bc") == "a?[2Jb?c"
