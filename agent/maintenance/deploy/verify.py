"""Whether a model file may be loaded at all: its digest, its signature, its version, its age, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.alerts.words import stamp
from agent.core.errors import ModelError
from agent.detection import onnx_file
from agent.maintenance.deploy import signing
from agent.maintenance.deploy.model_store import Copied, file_stem
from agent.maintenance.deploy.signing import SignedModel
from agent.maintenance.deploy.state import Models, ModelVersion, check_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is claimed of a model: its `name`, its `sha256` ("": unknown), its signature (b"": none).

    `older` permits a version below the one that was kept.
    """

    name: str
    sha256: str = ""
    signature: bytes = b""
    older: bool = False


def verify(
    copied: Copied, claim: Claim, models: Models, public_keys: Sequence[str], now: float
) -> ModelVersion:
    """The model that a copied file is; raises ModelError for all that speaks against loading it. `now` is Unix time."""
    if claim.sha256 and claim.sha256 != copied.sha256:
        raise ModelError(
            f"the file's sha256 is {copied.sha256}; expected {claim.sha256}: it was changed or cut off"
        )
    version = 0
    if public_keys:
        signed = _signed(copied, claim, public_keys, now)
        version = signed.version
        if not claim.older:
            check_version(models, version)
    model = ModelVersion(sha256=copied.sha256, name=file_stem(claim.name), version=version)
    if model.sha256 == models.in_force.sha256:
        raise ModelError("this model is in force already")
    try:
        _check_content(copied.path)
    except ModelError as error:
        raise ModelError(str(error).replace(str(copied.path), claim.name)) from None
    return model


def _signed(copied: Copied, claim: Claim, public_keys: Sequence[str], now: float) -> SignedModel:
    if not claim.signature:
        raise ModelError(
            "the model is not signed, and [deploy] public_keys asks for it: sign it with `vedette model sign`, and "
            "keep NAME.onnx.sig beside it"
        )
    signed = signing.verify(claim.signature, [signing.read_public_key(Path(path)) for path in public_keys])
    if signed.sha256 != copied.sha256:
        raise ModelError(
            f"the signature is of another file (sha256 {signed.sha256}, this one has {copied.sha256})"
        )
    if signed.expires is not None and now >= signed.expires:
        raise ModelError(
            f"the signature expired on {stamp(signed.expires)}; it is {stamp(now)} by this device's clock"
        )
    return signed


def _check_content(path: Path) -> None:
    """Refuse what is no ONNX file of a detector's size, weights in other files, and operators that are not known."""
    beside = onnx_file.check(path)
    if beside:
        raise ModelError(
            f"the model keeps weights in another file ({beside[0].name}), which no digest covers: save it as one file"
        )
    if foreign := onnx_file.foreign_operators(path):
        raise ModelError(
            f"the model uses operators that no runtime here brings: {', '.join(foreign[:3])}; export it without them"
        )
