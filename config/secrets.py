"""Passwords of accounts: hashing one, and checking what a client gave.

A hash is `scrypt$n$r$p$salt$key` (salt and key in base64, RFC 7914), which `hash_password` makes, or `$argon2id$...` in
PHC form as other programs make it. Checking a hash takes tens of milliseconds on purpose: call it in a thread.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from typing import Protocol

from pydantic import SecretStr

N, R, P = 16_384, 8, 1
_SALT_OCTETS, _KEY_OCTETS = 16, 32
_ARGON2ID = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}")
_MOST_KIB = 1 << 20  # that one bind may ask for
_FORM = "write what `pombo hash` prints: scrypt$n$r$p$salt$key"


class WithPassword(Protocol):
    """What `verify_password` looks at: an account's settings."""

    @property
    def password(self) -> SecretStr | None: ...
    @property
    def password_hash(self) -> SecretStr | None: ...


def hash_password(password: str, random: Callable[[int], bytes] = os.urandom) -> str:
    """A hash for `password_hash`, with a new salt every time. What is not UTF-8 is hashed octet for octet."""
    salt = random(_SALT_OCTETS)
    key = _scrypt(password.encode(errors="surrogateescape"), salt, N, R, P, _KEY_OCTETS)
    return f"scrypt${N}${R}${P}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def verify_password(given: str, account: WithPassword | None) -> bool:
    """Whether the password of a bind is the account's. Compares in constant time; False for no account at all.

    given: the C-Octet String as latin-1 text. A password with other than ASCII characters is taken in UTF-8 and in
    latin-1, since SMPP names no charset for it.
    """
    octets = _octets(given)
    if account is None:
        return False
    if account.password is not None:
        known = _octets(account.password.get_secret_value())
        equal = [hmac.compare_digest(one, other) for one in octets for other in known]  # all of them, always
        return any(equal)
    if account.password_hash is None:
        return False
    form = account.password_hash.get_secret_value()
    if form.startswith("$argon2id$"):
        return any(_argon2id(one, form) for one in octets)
    _, n, r, p, salt, key = form.split("$")
    expected = base64.b64decode(key)
    made = (_scrypt(one, base64.b64decode(salt), int(n), int(r), int(p), len(expected)) for one in octets)
    return any(hmac.compare_digest(one, expected) for one in made)


def check_hash(form: str) -> None:
    """ValueError with a sentence, never holding the hash, when `verify_password` could not use it."""
    found = _ARGON2ID.fullmatch(form)
    if found is not None and int(found[1]) <= _MOST_KIB:
        return
    if form.startswith("$argon2"):
        raise ValueError(f"is not an argon2id hash in PHC form with at most 1 GiB of memory; {_FORM}")
    parts = form.split("$")
    if len(parts) != 6 or parts[0] != "scrypt":
        raise ValueError(f"is not a password hash; {_FORM}")
    try:
        n, r, p = int(parts[1]), int(parts[2]), int(parts[3])
        salt, key = base64.b64decode(parts[4], validate=True), base64.b64decode(parts[5], validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"is not a readable password hash; {_FORM}") from None
    if n < 2 or n & (n - 1) or r < 1 or p < 1 or n * r > 1 << 20 or p > 16:
        raise ValueError(f"its n, r and p cannot be used; {_FORM}")
    if len(salt) < 8 or len(key) < 16:
        raise ValueError(f"its salt or key is too short; {_FORM}")


def _octets(text: str) -> set[bytes]:
    """The octets a password may have on the wire."""
    out = {text.encode("utf-8", "surrogatepass")}
    if not text.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            out.add(text.encode("latin-1"))
    return out


def _scrypt(password: bytes, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=128 * r * (n + p + 2) + (1 << 20))


def argon2id_works() -> bool:
    """Whether this installation can check argon2id hashes (OpenSSL 3.2 or later)."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    except ImportError:
        return False
    try:
        Argon2id(salt=bytes(16), length=16, iterations=1, lanes=1, memory_cost=8)
    except UnsupportedAlgorithm:
        return False
    return hasattr(Argon2id, "verify_phc_encoded")


def _argon2id(password: bytes, form: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password, form)
    except (InvalidKey, ValueError):
        return False
    return True
