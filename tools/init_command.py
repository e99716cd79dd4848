"""`pombo init DIR`: a configuration that works as it is, with passwords of its own."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from importlib.resources import files
from pathlib import Path

from tools.terminal import Terminal

RANDOM = ("billing_password", "admin_token")
GIVEN = {"operator_password": "changeme", "zap_key": "changeme"}  # somebody else's word
PASSWORD_OCTETS = 6  # as text eight characters: what SMPP 3.4, 5.2.2 lets a password have


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
    terminal.line()
    terminal.line("Fill in what is marked EDIT, then:")
    terminal.line(f"  export POMBO_CONFIG={config}")
    terminal.line(f"  pombo check {config}")
    terminal.line("  pombo run")
    return 0


def make(directory: Path, state: Path) -> None:
    """Write the files. OSError when one cannot be written."""
    from config.json_schema import json_schema

    kept = directory / "secrets"
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (*RANDOM, *GIVEN):
        octets = 24 if name == "admin_token" else PASSWORD_OCTETS
        _write(kept / name, (GIVEN.get(name) or secrets.token_urlsafe(octets)) + "\n", 0o600)
    text = files("config").joinpath("init.yaml").read_text(encoding="utf-8")
    _write(directory / "pombo.schema.json", json.dumps(json_schema(), indent=1) + "\n", 0o644)
    text = text.replace("@DIRECTORY@", str(directory)).replace("@STATE@", str(state))
    _write(directory / "pombo.yaml", text, 0o640)


def _write(path: Path, text: str, mode: int) -> None:
    """What is there already stays."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
