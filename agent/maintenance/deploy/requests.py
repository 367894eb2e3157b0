"""What people ask of deployments, over the control socket and MQTT: deploy, roll back, report."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.core import clock
from agent.core.arguments import Handler, check_names, take_word
from agent.core.errors import ModelError
from agent.core.secret import Masked
from agent.core.untrusted import take_flag, take_text
from agent.maintenance.child import Pause
from agent.maintenance.deploy import fetch, signing
from agent.maintenance.deploy.attempt import Fetched
from agent.maintenance.deploy.deployer import Deployer
from agent.maintenance.deploy.deployments import Deployments
from agent.maintenance.deploy.model_store import file_stem
from agent.maintenance.deploy.plain_file import read_plain
from agent.maintenance.deploy.state import Deployment, ModelVersion
from agent.maintenance.deploy.verify import Claim

ROLLBACK_SECONDS = 20.0
LONGEST_PATH = 4095


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A deployment that is asked for: the file at `path` of this device or at `url`, and what is claimed of it."""

    path: str
    url: Masked
    signature_url: Masked
    name: str
    sha256: str
    signature: str
    older: bool
    by: str

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Order:
        """What the arguments of a command say; raises VedetteError."""
        check_names(args, "path", "url", "signature_url", "name", "sha256", "signature", "older", "who")
        path, url = (take_text(args, key, "", longest=LONGEST_PATH) for key in ("path", "url"))
        if bool(path) == bool(url):
            raise ModelError("one of `path` (on this device) and `url` (https://HOST/PATH) is expected")
        sha256 = take_text(args, "sha256", "", longest=64).lower()
        if sha256 and not signing.is_digest(sha256):
            raise ModelError("`sha256` is not a sha256 in hex (64 digits)")
        signature_url = Masked(take_text(args, "signature_url", "", longest=LONGEST_PATH))
        for address in (Masked(url), signature_url):
            if address:
                fetch.check_address(address)
        source = fetch.shown(Masked(url)) if url else path
        return cls(
            path=path,
            url=Masked(url),
            signature_url=signature_url,
            name=take_word(args, "name", "") or Path(source).name,
            sha256=sha256,
            signature=take_text(args, "signature", "", longest=signing.LARGEST_SIGNATURE),
            older=take_flag(args, "older", False),
            by=take_word(args, "who", "unknown"),
        )

    @property
    def source(self) -> str:
        """Where the model is, without secrets."""
        return fetch.shown(self.url) if self.url else self.path


class DeployRequests:
    """The commands `model_deploy`, `model_rollback` and `model_deployments`; any thread may call."""

    def __init__(self, deployer: Deployer, deployments: Deployments) -> None:
        self._deployer, self._deployments = deployer, deployments

    def handlers(self) -> dict[str, Handler]:
        """The commands as the control socket takes them."""
        return {
            "model_deploy": self._deploy,
            "model_rollback": self._roll_back,
            "model_deployments": self._report,
        }

    def remote(self) -> dict[str, Handler]:
        """Those that the network may give in another way: only signed models, and none that is older."""
        return {"model_deploy": self._deploy_signed}

    def facts(self) -> dict[str, Any]:
        """Fields for `info`: the deployment on its way, or the last one."""
        latest = self._deployments.models.latest
        return {
            "deployment_id": latest.id if latest else "",
            "deployment_model": latest.model.name if latest else "",
            "deployment_version": latest.model.version if latest else 0,
            "deployment_state": latest.step.value if latest else "",
            "deployment_reason": latest.reason if latest else "",
            "deployment_note": latest.note if latest else "",
        }

    def _deploy_signed(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        order = Order.of(args)
        if not self._deployer.settings.public_keys:
            raise ModelError(
                "models from the network must be signed: set [deploy] public_keys on this device"
            )
        if order.older:
            raise ModelError(
                "an older version can be deployed on the device alone (`vedette model deploy --older`)"
            )
        return self._accept(order)

    def _deploy(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._accept(Order.of(args))

    def _accept(self, order: Order) -> Mapping[str, Any]:
        if order.url and not (order.sha256 or self._deployer.settings.public_keys):
            raise ModelError("`sha256` is missing: what a server gives must be known or signed")
        now = clock.now()
        deployment = Deployment(
            id=secrets.token_hex(4),
            model=ModelVersion(sha256="", name=file_stem(order.name)),
            source=order.source,
            by=order.by,
            begun_at=now,
            changed_at=now,
        )
        claim = Claim(name=order.name, sha256=order.sha256, older=order.older)
        self._deployer.accept(deployment, claim, partial(self._fetch, order))
        return {"deployment": _about(deployment), "text": f"deployment {deployment.id} is accepted"}

    def _fetch(self, order: Order, pause: Pause) -> Fetched:
        signature, settings = order.signature.encode(), self._deployer.settings
        if not order.url:
            return _local(Path(order.path), signature)
        source = fetch.Source(
            model=order.url,
            signature=order.signature_url or fetch.beside(order.url),
            ca_file=settings.ca_file,
        )
        if settings.public_keys and not signature:  # first: without one the model need not come at all
            signature = fetch.fetch_signature(source, pause)
        path = fetch.fetch_model(source, self._deployments.store, settings.largest_model, pause)
        return Fetched(path=path, signature=signature)

    def _roll_back(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "who")
        self._deployer.roll_back(take_word(args, "who", "unknown"), secrets.token_hex(4), ROLLBACK_SECONDS)
        return {"text": f"in force: {self._deployments.models.in_force.name}"}

    def _report(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
        models = self._deployments.models
        return {
            "in_force": _model(models.in_force),
            "previous": _model(models.previous) if models.previous else None,
            "least_version": models.floor,
            "deployment": _about(models.deployment) if models.deployment else None,
            "history": [_about(one) for one in models.history],
        }


def _local(path: Path, signature: bytes) -> Fetched:
    beside = signing.path_of(path)
    if not signature and beside.exists():
        signature = read_plain(beside, signing.LARGEST_SIGNATURE, "signature")
    return Fetched(path=path, signature=signature)


def _about(deployment: Deployment) -> dict[str, Any]:
    return {
        "id": deployment.id,
        "model": _model(deployment.model),
        "source": deployment.source,
        "by": deployment.by,
        "state": deployment.step.value,
        "reason": deployment.reason,
        "note": deployment.note,
        "begun_at": round(clock.unix(deployment.begun_at), 3),
        "changed_at": round(clock.unix(deployment.changed_at), 3),
        "numbers": dict(deployment.numbers),
    }


def _model(model: ModelVersion) -> dict[str, Any]:
    return {"name": model.name, "sha256": model.sha256, "version": model.version}
