"""The limit of open descriptors is the system's, not the shell's."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from gateway.descriptors import MOST, raise_limit


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_the_hard_one(limits: tuple[int, int]) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert raise_limit() == (MOST if hard == resource.RLIM_INFINITY else min(hard, MOST))


def test_a_limit_that_is_high_enough_stays(limits: tuple[int, int]) -> None:
    raise_limit()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_limit() == before[0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
