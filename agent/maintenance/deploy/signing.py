"""The signature of a model: an in-toto statement with its digest, version and expiry, signed with Ed25519 (DSSE).

The layout is that of OpenSSF model signing 1.0 (one statement, each file a resource, the subject's digest over all of
theirs) in a DSSE envelope (https://github.com/secure-systems-lab/dsse); `version` and `expires` are ours, and so is
Ed25519. It lies beside the model as NAME.onnx.sig.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core.errors import MissingExtra, ModelError
from agent.core.installation import how_to_add
from agent.core.printable import printable
from agent.core.untrusted import (
    BadInput,
    parse_object,
    take_integer,
    take_list,
    take_object,
    take_text,
)
from agent.maintenance.deploy.plain_file import read_plain

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LARGEST_SIGNATURE = 64 * 1024
"""Bytes of a signature that is still read."""

LARGEST_KEY = 16 * 1024
LARGEST_VERSION = 2**53
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_MOST_SIGNATURES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedModel:
    """What a signature states of a model file: `sha256` in hex, `version` from 1, `expires` Unix time or None."""

    name: str
    sha256: str
    version: int
    expires: float | None


def path_of(model: Path) -> Path:
    """Where the signature of a model lies."""
    return model.with_name(f"{model.name}.sig")


# -- as text --------------------------------------------------------------------------------------------------


def statement(signed: SignedModel) -> bytes:
    """The statement that is signed."""
    whole = hashlib.sha256(bytes.fromhex(signed.sha256)).hexdigest()
    body = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": signed.name, "digest": {"sha256": whole}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": signed.name, "algorithm": "sha256", "digest": signed.sha256}],
            "version": signed.version,
            **({"expires": _date(signed.expires)} if signed.expires is not None else {}),
        },
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def read_statement(payload: bytes) -> SignedModel:
    """What a statement states; raises BadInput. Only for a payload whose signature was verified."""
    body = parse_object(payload, largest=LARGEST_SIGNATURE)
    for key, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if take_text(body, key) != expected:
            raise BadInput(f"`{key}` is another than {expected}")
    predicate = take_object(body, "predicate")
    resources = take_list(predicate, "resources", longest=64)
    if len(resources) != 1 or not isinstance(resources[0], dict):
        raise BadInput("`resources` names another number of files than one; keep the model whole in one file")
    digest = take_text(resources[0], "digest", longest=64)
    if take_text(resources[0], "algorithm", longest=16) != "sha256" or not is_digest(digest):
        raise BadInput("the resource's digest is not a sha256 in hex")
    expires = take_text(predicate, "expires", None, longest=40)
    return SignedModel(
        name=printable(take_text(resources[0], "name", longest=200)),
        sha256=digest,
        version=take_integer(predicate, "version", minimum=1, maximum=LARGEST_VERSION),
        expires=None if expires is None else _unix(expires),
    )


def is_digest(text: str) -> bool:
    """Whether a text is a sha256 in small hex letters."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


# -- signing and verifying --------------------------------------------------------------------------------------


def sign(signed: SignedModel, key: Ed25519PrivateKey) -> bytes:
    """The envelope with the statement and its signature, as JSON text."""
    payload = statement(signed)
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public_key()),
                "sig": base64.b64encode(key.sign(_authenticated(payload))).decode(),
            }
        ],
    }
    return json.dumps(envelope, indent=1).encode() + b"\n"


def verify(envelope: bytes, keys: Sequence[Ed25519PublicKey]) -> SignedModel:
    """What an envelope states that one of `keys` signed; raises ModelError, and nothing of it is read before that."""
    try:
        body = parse_object(envelope, largest=LARGEST_SIGNATURE)
        if take_text(body, "payloadType") != PAYLOAD_TYPE:
            raise BadInput(f"`payloadType` is another than {PAYLOAD_TYPE}")
        payload = _base64(take_text(body, "payload", longest=LARGEST_SIGNATURE))
        signatures = [_signature(one) for one in take_list(body, "signatures", longest=_MOST_SIGNATURES)]
    except BadInput as error:
        raise ModelError(f"the signature cannot be read: {error}") from None
    if not any(_is_by(key, signature, payload) for key in keys for signature in signatures):
        known = ", ".join(key_id(key) for key in keys)
        raise ModelError(
            f"the signature is by none of the keys in [deploy] public_keys ({known}), or was changed"
        )
    try:
        return read_statement(payload)
    except BadInput as error:
        raise ModelError(f"the signed statement cannot be used: {error}") from None


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the sha256 of a public key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _authenticated(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is really signed."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signature(entry: object) -> bytes:
    if not isinstance(entry, dict):
        raise BadInput("a signature is not an object")
    return _base64(take_text(entry, "sig", longest=256))


def _is_by(key: Ed25519PublicKey, signature: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, _authenticated(payload))
    except InvalidSignature:
        return False
    return True


# -- keys -----------------------------------------------------------------------------------------------------


def new_key() -> Ed25519PrivateKey:
    """A new private key."""
    return _ed25519().Ed25519PrivateKey.generate()  # type: ignore[no-any-return]  # the module is imported lazily


def private_text(key: Ed25519PrivateKey) -> bytes:
    """A private key as PEM (PKCS #8, not encrypted)."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_text(key: Ed25519PublicKey) -> bytes:
    """A public key as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; raises ModelError."""
    kind = _ed25519().Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_plain(path, LARGEST_KEY, "key")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, _unsupported()):  # no text: it may quote the key
        raise ModelError(f"key {path} is not a private key (PEM, not encrypted)") from None
    if not isinstance(key, kind):
        raise ModelError(f"key {path} is not an Ed25519 key; make one with `vedette model keygen`")
    return key  # type: ignore[no-any-return]  # the module is imported lazily


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file; raises ModelError."""
    kind = _ed25519().Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = read_plain(path, LARGEST_KEY, "key")
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, _unsupported()):
        raise ModelError(f"key {path} is not a public key (PEM)") from None
    if not isinstance(key, kind):
        raise ModelError(f"key {path} is not an Ed25519 key; make one with `vedette model keygen`")
    return key  # type: ignore[no-any-return]  # the module is imported lazily


def _ed25519() -> Any:
    """The library's module; MissingExtra where it is not installed."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtra(
            f"signatures of models need the library cryptography: {how_to_add('deploy')}"
        ) from None
    return ed25519


def _unsupported() -> type[Exception]:
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm


# -- values ---------------------------------------------------------------------------------------------------


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("a part is not base64") from None


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unix(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        raise BadInput("`expires` is not an ISO 8601 time") from None


def describe(signed: SignedModel) -> Mapping[str, Any]:
    """The statement's content for a report."""
    return {
        "name": signed.name,
        "sha256": signed.sha256,
        "version": signed.version,
        "expires": None if signed.expires is None else _date(signed.expires),
    }
