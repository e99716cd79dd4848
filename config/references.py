"""`${NAME}` from the environment and `${file:/path}` from a file, filled into a value."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_BYTES = 65_536
_FORM = "write ${NAME} for the environment or ${file:/path} for a file"


class Resolver:
    """Fills references in. What is filled in is not looked at again. A relative path starts at the configuration."""

    def __init__(self, environ: Mapping[str, str], directory: str) -> None:
        self._environ = environ
        self._directory = directory

    def fill(self, text: str) -> tuple[str, str]:
        """(the text with every reference replaced, "") or ("", what is wrong); the latter holds no values."""
        wrong: list[str] = []

        def one(found: re.Match[str]) -> str:
            value, problem = self._look_up(found[1])
            if problem:
                wrong.append(problem)
            return value

        out = _REFERENCE.sub(one, text)
        if not wrong and "${" in _REFERENCE.sub("", text):
            wrong.append(f"has a ${{ without its }}; {_FORM}")
        return ("", "; ".join(wrong)) if wrong else (out, "")

    def _look_up(self, name: str) -> tuple[str, str]:
        if name.startswith("file:"):
            return self._read(name.removeprefix("file:"))
        if not _NAME.fullmatch(name):
            return "", f"has a reference that cannot be read; {_FORM}"
        if name not in self._environ:
            return "", f"the environment variable {name} is not set; set it, or write the value another way"
        return self._environ[name], ""

    def _read(self, path: str) -> tuple[str, str]:
        if not path:
            return "", f"names no file; {_FORM}"
        try:
            with open(os.path.join(self._directory, path), "rb") as stream:
                data = stream.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad name"
            return "", f"the file {path!r} cannot be read ({reason}); name one that exists and is readable"
        if len(data) > _MOST_BYTES:
            return "", f"the file {path!r} is larger than {_MOST_BYTES} bytes; name a file that holds one value"
        try:
            return data.decode("utf-8-sig").strip(), ""
        except UnicodeDecodeError:
            return "", f"the file {path!r} is not UTF-8 text; save it as such"
