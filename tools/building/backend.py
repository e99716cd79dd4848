"""What pip builds this project with: setuptools, but a checkout that is installed with `pip install -e` is compiled, as
pip does it with what it copies. Where the interpreter may not write what it has compiled (PYTHONDONTWRITEBYTECODE) each
start would compile all of it anew, a third of its time.

Source: PEP 517 (hooks, backend-path), PEP 660 (build_editable).
"""

from __future__ import annotations

import compileall
from typing import Any

from setuptools import build_meta

PACKAGES = ("gateway", "smsc_client", "bridge", "config", "tools")

build_sdist, build_wheel = build_meta.build_sdist, build_meta.build_wheel
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable


def build_editable(*directory_and_settings: Any) -> str:
    """Pip calls this in the project's folder. What cannot be compiled, or written, is left as it is."""
    for package in PACKAGES:
        compileall.compile_dir(package, quiet=2)
    name: str = build_meta.build_editable(*directory_and_settings)
    return name
