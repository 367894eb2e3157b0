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
        doc="Files with Ed25519 public keys (PEM). If there are any, only models signed with one of them "
        "are accepted; if not, models can be deployed only on this box itself. `vedette model "
        "keygen` makes a pair.",
    )
    ca_file: str = setting(
        "",
        kind="path",
        doc="CA certificates (PEM) for servers that models are fetched from; empty: the system's.",
    )
    largest_model: int = setting(
        512 * 1024 * 1024, kind="size", minimum=1024, maximum=2**31 - 1, doc="Largest size of a model file."
    )
    most_memory: int = setting(
        1024 * 1024 * 1024,
        kind="size",
        minimum=1024 * 1024,
        doc="Most memory that the new model may take beside the running one.",
    )
    compared_frames: int = setting(
        24, minimum=4, maximum=500, doc="Recent frames on which both models run before the switch."
    )
    least_agreement: float = setting(
        0.5,
        minimum=0,
        maximum=1,
        doc="Least agreement of both models on those frames (F1 at IoU 0.5, same class); 0: any.",
    )
    most_latency_ratio: float = setting(
        1.5,
        minimum=0.1,
        maximum=1000,
        doc="Largest time per frame of the new model, as a multiple of the running model's.",
    )
    labelled_data: str = setting(
        "",
        kind="path",
        doc="A data.yaml, or a folder, of labelled images that no model was trained on; both models are "
        "evaluated on them before the switch. Empty: the labelled audit samples, if there are any.",
    )
    labelled_split: str = setting(
        "val", choices=("val", "test", "train"), doc="Split of a data.yaml: val, test or train."
    )
    most_accuracy_loss: float = setting(
        0.0,
        minimum=0,
        maximum=1,
        doc="Largest loss of mAP50-95 on labelled images, compared with the running model. The new model "
        "is refused if a bootstrap shows a larger loss (95 %). 1: no evaluation.",
    )
    least_class_labels: int = setting(
        20,
        minimum=0,
        maximum=1_000_000,
        doc="From this number of labelled boxes of a class on, the new model must find some at the "
        "agent's confidence: it is refused if the running model does, and deployed with a note if "
        "neither does. 0: no such check.",
    )
    keep_embedding: bool = setting(
        True,
        doc="Refuse a model without an embedding output if the running one has one, because drift "
        "detection uses it.",
    )
    shadow: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=30 * 86400,
        doc="How long the new model runs beside the running one (shadow) before the switch; 0: not at all.",
    )
    shadow_share: float = setting(
        0.05,
        minimum=0.001,
        maximum=0.5,
        doc="Share of the time in which a second model runs on live frames, in the shadow and in probation.",
    )
    least_accuracy_estimate: float = setting(
        0.5,
        minimum=0,
        maximum=1,
        doc="Least F1, estimated without labels (accuracy_estimate_ratio), of a new model on each camera "
        "in probation. It is returned if two trusted estimates in a row are below this even at the "
        "high end of their bands and the previous model finds more on the same frames. 0: any.",
    )
    probation: float = setting(
        1800.0,
        kind="duration",
        minimum=0,
        maximum=30 * 86400,
        doc="How long the new model is monitored after the switch. The agent returns to the old one if "
        "the new one fails, is slower than most_latency_ratio, agrees less than least_agreement, or "
        "its estimated accuracy is below least_accuracy_estimate. 0: it is kept at once.",
    )
