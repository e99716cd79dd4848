"""The flame graph: what is missing is said before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.bench import flame


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter with nothing beside it, and nothing on the path."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_the_profiler_it_says_what_installs_it(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flame.main([str(alone / "graph.svg")]) == 2
    assert "make flame" in capsys.readouterr().err
    assert not list(alone.iterdir())


def test_without_the_load_tool_it_says_where_that_belongs(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alone / "py-spy").touch()
    assert flame.main([str(alone / "graph.svg"), "--tool", str(alone / "none.c")]) == 2
    assert "smppbench.c" in capsys.readouterr().err


def test_the_graph_tells_nothing_of_the_machine_it_was_drawn_on() -> None:
    drawn = '<svg><text id="title" x="50%" y="24.00">/home/someone/py-spy record --pid 7</text><g>frames</g></svg>'
    shown = flame.entitled(drawn)
    assert "someone" not in shown and flame.TITLE in shown and shown.endswith("<g>frames</g></svg>")
