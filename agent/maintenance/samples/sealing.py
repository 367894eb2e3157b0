"""Images of samples, encrypted to a public key: the device writes them and cannot read them.

By HPKE (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305), from the library cryptography; keys are PEM files. The
sample's id is part of what is authenticated: an image that is renamed to another sample's does not open.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.core.errors import MissingExtra, VedetteError
from agent.core.installation import how_to_add
from agent.core.printable import printable
from agent.maintenance.samples.store import StoredSample

_PURPOSE = b"vedette sample 1 "
_LARGEST_KEY = 4096


def read_public_key(path: Path) -> Any:
    """The X25519 key that images are encrypted to; raises VedetteError, MissingExtra."""
    from_pem, kind = _library("load_pem_public_key", "X25519PublicKey")
    return _read(path, from_pem, kind, "public")


def read_private_key(path: Path) -> Any:
    """The X25519 key that opens them; raises VedetteError, MissingExtra."""
    from_pem, kind = _library("load_pem_private_key", "X25519PrivateKey")
    return _read(path, lambda data: from_pem(data, password=None), kind, "private")


def seal(image: bytes, id: str, public_key: Any) -> bytes:
    """An image of the sample `id`, encrypted."""
    sealed: bytes = _suite().encrypt(image, public_key, _PURPOSE + id.encode())
    return sealed


def opened(kept: StoredSample, private_key: Any, folder: Path) -> StoredSample:
    """A sealed sample with its image in `folder`, readable; VedetteError where the key does not open it."""
    sample = kept.sample
    try:
        image = _suite().decrypt(kept.image.read_bytes(), private_key, _PURPOSE + sample.id.encode())
    except Exception as error:  # noqa: BLE001  (the library names no class for what does not open)
        reason = printable(error, 80) or type(error).__name__
        raise VedetteError(
            f"{kept.image.name} cannot be decrypted: another key, or a damaged file ({reason})"
        ) from None
    target = folder / f"{sample.id}.jpg"
    target.write_bytes(image)
    return replace(kept, image=target)


def _read(path: Path, from_pem: Any, kind: Any, what: str) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_KEY)
        key = from_pem(data)
    except OSError as error:
        raise VedetteError(f"key {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, _unsupported()):
        raise VedetteError(f"key {path} is not a {what} key (PEM)") from None
    if not isinstance(key, kind):
        raise VedetteError(f"key {path} is not an X25519 key: openssl genpkey -algorithm X25519 makes one")
    return key


def _library(loader: str, kind: str) -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import x25519
    except ImportError:
        raise _missing() from None
    return getattr(serialization, loader), getattr(x25519, kind)


def _unsupported() -> type[Exception]:
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm


def _suite() -> Any:
    try:
        from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
    except ImportError:
        raise _missing() from None
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _missing() -> MissingExtra:
    return MissingExtra(
        f"encrypted samples need the library cryptography, 47 or newer: {how_to_add('encrypt')}"
    )
