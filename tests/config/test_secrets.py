"""Passwords of accounts."""

from __future__ import annotations

import pytest

from config.fields import Substituted
from config.schema import AccountSettings
from config.secrets import argon2id_works, check_hash, hash_password, verify_password


def account(password: str | None = None, password_hash: str | None = None) -> AccountSettings:
    return AccountSettings.model_validate(
        {"system_id": "a", "password": password, "password_hash": password_hash},
    )


def test_a_hash_fits_its_password_and_no_other() -> None:
    form = hash_password("correct horse")
    assert form.startswith("scrypt$16384$8$1$")
    assert "horse" not in form
    check_hash(form)
    assert verify_password("correct horse", account(password_hash=form))
    assert not verify_password("correct hors", account(password_hash=form))
    assert not verify_password("", account(password_hash=form))


def test_a_password_typed_in_latin1_can_be_hashed() -> None:
    typed = b"ma\xe7\xe3".decode("utf-8", "surrogateescape")  # as Python reads what is not UTF-8
    assert verify_password("maçã", account(password_hash=hash_password(typed)))


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("x") != hash_password("x")
    assert hash_password("x", random=lambda n: bytes(n)) == hash_password("x", random=lambda n: bytes(n))


def test_a_plain_password_fits_exactly() -> None:
    billing = account(password="secret12")
    assert verify_password("secret12", billing)
    assert not verify_password("Secret12", billing)
    assert not verify_password("secret1", billing)
    assert not verify_password("", billing)


def test_nobody_has_no_password() -> None:
    assert not verify_password("x", None)
    assert not verify_password("", account())


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
@pytest.mark.parametrize("hashed", [False, True])
def test_other_letters_are_taken_in_utf8_and_latin1(charset: str, hashed: bool) -> None:
    on_the_wire = "maçã".encode(charset).decode("latin-1")
    settings = account(password_hash=hash_password("maçã")) if hashed else account(password="maçã")
    assert verify_password(on_the_wire, settings)
    assert not verify_password("maca", settings)


@pytest.mark.skipif(not argon2id_works(), reason="needs OpenSSL 3.2")
def test_hashes_of_argon2id_are_understood() -> None:
    form = "$argon2id$v=19$m=19456,t=2,p=1$MTExMTExMTExMTExMTExMQ$di0+E9WOlHz3Q0b0oJRbvvjmOuHR97jR7DOlMfbCQ6o"
    check_hash(form)
    assert verify_password("hello", account(password_hash=form))
    assert not verify_password("hellx", account(password_hash=form))


@pytest.mark.parametrize(
    "form",
    [
        "",
        "hunter2secret",
        "scrypt$16384$8$1$AAAA",
        "scrypt$16384$8$1$hunter2secret$AAAA",
        "scrypt$16385$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "scrypt$1073741824$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "scrypt$16384$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "$argon2i$v=19$m=19456,t=2,p=1$MTExMTExMTExMTExMTExMQ$di0+E9WOlHz3Q0b0oJRbvvjmOuHR97jR7DOlMfbCQ6o",
        "$argon2id$v=19$m=9999999,t=2,p=1$MTExMTExMTExMTExMTExMQ$di0+E9WOlHz3Q0b0oJRbvvjmOuHR97jR7DOlMfbCQ6o",
        "$2b$12$hunter2secrethunter2secret",
    ],
)
def test_a_hash_that_could_not_be_used_is_refused_without_being_shown(form: str) -> None:
    with pytest.raises(ValueError, match="pombo hash") as caught:
        check_hash(form)
    assert "hunter2secret" not in str(caught.value)


def test_secrets_never_show_in_settings() -> None:
    form = hash_password("x")
    for settings in (account(password="hunter2secret"), account(password=Substituted("hunter2secret"))):
        assert "hunter2secret" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert form not in repr(account(password_hash=form))
