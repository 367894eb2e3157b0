"""Settings of the deployment of models."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config.fields import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """Deployment of a new model while the agent runs (`vedette model deploy`): what it must pass before and after."""

    public_keys: tuple[str, ...] = setting(
        (),
        kind="path",
        doc="Files with Ed25519 public keys (PEM). With any, only models signed by one of them are accepted; without, "
        "models come only from this box itself. `vedette model keygen` makes a pair.",
    )
    ca_file: str = setting(
        "",
        kind="path",
        doc="CA certificates (PEM) of servers that models are fetched from; empty: the system's.",
    )
    largest_model: int = setting(
        512 * 1024 * 1024, kind="size", minimum=1024, maximum=2**31 - 1, doc="Bytes of a model at most."
    )
    most_memory: int = setting(
        1024 * 1024 * 1024,
        kind="size",
        minimum=1024 * 1024,
        doc="Memory that the new model may take beside the running one.",
    )
    compared_frames: int = setting(
        24, minimum=4, maximum=500, doc="Recent frames that both models are run on before the switch."
    )
    least_agreement: float = setting(
        0.5,
        minimum=0,
        maximum=1,
        doc="Share of boxes that both models must find alike (F1 at IoU 0.5, same class) on those frames; 0: any.",
    )
    most_latency_ratio: float = setting(
        1.5,
        minimum=0.1,
        maximum=1000,
        doc="How much longer than the running model the new one may take for a frame.",
    )
    labelled_data: str = setting(
        "",
        kind="path",
        doc="A data.yaml, or a folder, of labelled images that no model was trained on; both models are evaluated on "
        "them before the switch. Empty: the labelled samples that were drawn at random, where there are any.",
    )
    labelled_split: str = setting(
        "val", choices=("val", "test", "train"), doc="Which images of a data.yaml: val, test or train."
    )
    most_accuracy_loss: float = setting(
        0.0,
        minimum=0,
        maximum=1,
        doc="By how much the new model's mAP50-95 on labelled images may be below the running model's; it is refused "
        "where 95 of 100 draws of the images show a greater loss. 1: nothing is evaluated.",
    )
    least_class_labels: int = setting(
        20,
        minimum=0,
        maximum=1_000_000,
        doc="Labelled boxes of a class from which on it counts that the new model finds none of it at the agent's "
        "confidence: it is refused where the running model finds some, and deployed with a note where that finds "
        "none either. 0: it does not count.",
    )
    keep_embedding: bool = setting(
        True, doc="Refuse a model without an embedding where the running one has one: drift is judged by it."
    )
    shadow: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=30 * 86400,
        doc="How long the new model runs in the shadow of the running one before the switch; 0: not at all.",
    )
    shadow_share: float = setting(
        0.05,
        minimum=0.001,
        maximum=0.5,
        doc="Share of the time in which a second model is run on live frames, in the shadow and in the probation.",
    )
    least_accuracy_estimate: float = setting(
        0.5,
        minimum=0,
        maximum=1,
        doc="F1 estimated without labels (accuracy_estimate_ratio) that a new model must have on each camera in its "
        "probation; it is returned where two trusted estimates in a row are below it even at the high end of their "
        "bands, and the model before finds more there now. 0: any.",
    )
    probation: float = setting(
        1800.0,
        kind="duration",
        minimum=0,
        maximum=30 * 86400,
        doc="How long the new model is watched after the switch; the old one is put back by itself when it fails, is "
        "slower than most_latency_ratio, agrees less than least_agreement, or its estimated accuracy is below "
        "least_accuracy_estimate. 0: it is kept at once.",
    )
