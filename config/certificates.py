"""The files of a TLS listener: whether they can be used, before anything listens with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def check(listener: Mapping[str, str]) -> None:
    """Read the files that an `ssl:` listener names. ValueError with a sentence when TLS could not be spoken with them.

    listener: the arguments of the endpoint, as config.endpoints.server reads them. The text of a file is never shown.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    key_path = listener.get("privateKey", "")
    certificate_path = listener.get("certKey", key_path)
    chain_path = listener.get("extraCertChain")
    key_octets, certificate_octets = _octets("privateKey", key_path), _octets("certKey", certificate_path)
    try:
        key = load_pem_private_key(key_octets, None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise ValueError(f"its privateKey {key_path!r} is no private key in PEM without a passphrase") from None
    try:
        certificate = x509.load_pem_x509_certificate(certificate_octets)
    except ValueError:
        raise ValueError(f"its certKey {certificate_path!r} is no certificate in PEM") from None
    whole = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*whole) != key.public_key().public_bytes(*whole):
        raise ValueError(f"its certKey {certificate_path!r} does not belong to its privateKey {key_path!r}")
    if chain_path:
        chain_octets = _octets("extraCertChain", chain_path)
        try:
            x509.load_pem_x509_certificates(chain_octets)
        except ValueError:
            raise ValueError(f"its extraCertChain {chain_path!r} has no certificate in PEM") from None


def _octets(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as wrong:
        raise ValueError(f"its {name} {path!r} cannot be read: {wrong.strerror}") from None
