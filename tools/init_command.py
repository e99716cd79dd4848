"""`pombo init DIR`: a configuration that works as it is, with passwords of its own, and examples beside it."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from tools.terminal import Terminal

RANDOM = ("billing_password", "admin_token")
GIVEN = {"operator_password": "changeme", "zap_key": "changeme"}  # somebody else's word
PASSWORD_OCTETS = 6  # as text eight characters: what SMPP 3.4, 5.2.2 lets a password have
EXAMPLES = ("production.yaml", "systemd", "monitoring")  # of the package `config`


def init(options: argparse.Namespace, terminal: Terminal) -> int:
    """1 when there is a configuration already; nothing is overwritten."""
    directory = Path(options.directory).absolute()
    config = directory / "pombo.yaml"
    if config.exists():
        print(f"pombo: {config} is there already; name another directory, or edit it", file=sys.stderr)
        return 1
    state = Path(options.state).absolute() if options.state else directory
    try:
        make(directory, state)
    except OSError as error:
        print(
            f"pombo: {error.filename or directory}: {error.strerror}; name a directory you may write to",
            file=sys.stderr,
        )
        return 1
    terminal.line(f"{terminal.paint(str(config), 'bold')}")
    for name in (*RANDOM, *GIVEN):
        made = "made" if name in RANDOM else "put yours there"
        terminal.line(f"  secrets/{name}  {terminal.paint(made, 'dim')}")
    terminal.line(f"  examples/  {terminal.paint('every key, systemd, alerts and a dashboard', 'dim')}")
    called = os.path.abspath(sys.argv[0])
    command = called if shutil.which("pombo") is None and os.path.basename(called) == "pombo" else "pombo"
    terminal.line()
    terminal.line("Fill in what is marked EDIT, then:")
    terminal.line(f"  export POMBO_CONFIG={config}")
    terminal.line(f"  {command} check {config}")
    terminal.line(f"  {command} run")
    return 0


def make(directory: Path, state: Path) -> None:
    """Write the files. OSError when one cannot be written."""
    from config.json_schema import json_schema

    kept, package = directory / "secrets", files("config")
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (*RANDOM, *GIVEN):
        octets = 24 if name == "admin_token" else PASSWORD_OCTETS
        _write(kept / name, (GIVEN.get(name) or secrets.token_urlsafe(octets)) + "\n", 0o600)
    schema = json.dumps(json_schema(), indent=1) + "\n"
    _write(directory / "pombo.schema.json", schema, 0o644)
    _write(directory / "examples/pombo.schema.json", schema, 0o644)
    for name in EXAMPLES:
        _copy(package.joinpath(name), directory / "examples")
    text = package.joinpath("init.yaml").read_text(encoding="utf-8")
    text = text.replace("@DIRECTORY@", str(directory)).replace("@STATE@", str(state))
    _write(directory / "pombo.yaml", text, 0o640)


def _copy(source: Traversable, into: Path) -> None:
    if source.is_dir():
        for one in source.iterdir():
            _copy(one, into / source.name)
    else:
        _write(into / source.name, source.read_text(encoding="utf-8"), 0o644)


def _write(path: Path, text: str, mode: int) -> None:
    """What is there already stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
