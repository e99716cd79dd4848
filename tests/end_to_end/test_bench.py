"""`make bench` in miniature: a real gateway between the two roles of the load tool, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tools.bench.__main__ import measure
from tools.bench.loadtool import LoadTool, NoTool, find_source
from tools.bench.rows import chosen
from tools.bench.scenes import QUICK, Bench

TINY = msgspec.structs.replace(QUICK, count=200, steady_s=0.1)


def test_a_row_of_the_sms_path(tmp_path: Path) -> None:
    try:
        tool = LoadTool.build(find_source(None, os.environ), tmp_path, os.environ)
    except NoTool as why:
        pytest.skip(str(why))
    told: list[str] = []
    results, intact = measure(Bench(tool, Path("/tmp"), TINY), chosen("sms,cpu"), told.append)
    assert [result.why for result in results] == ["", ""], told
    assert intact, told
    sms, cpu = results
    assert sms.value > 0 and sms.ratio is not None and 0 < sms.ratio < 1
    assert cpu.value > 0
    assert [line.split()[2] for line in told] == ["plain"]
