"""What `pombo check FILE` asks."""

from __future__ import annotations

import os
from collections.abc import Mapping

from config.load import ConfigErrors, load


def check(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> list[str]:
    """Every problem of a configuration file, one sentence each; an empty list when it can be used."""
    try:
        load(path, environ)
    except ConfigErrors as wrong:
        return wrong.errors
    return []
