"""The model card: what a team has to record of a model, from what the agent knows and what a person adds.

`SECTIONS` is what a card holds, in order. What nobody answered stands in the card as a gap.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What only a person knows, under `key` of its section's table in NAME.card.toml."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the card: `name` is its table in NAME.card.toml."""

    name: str
    title: str
    questions: tuple[Question, ...]


SECTIONS = (
    Section(
        "overview",
        "Project overview",
        (
            Question("purpose", "What is the model for, and who uses it?"),
            Question("out_of_scope", "What must it not be used for?"),
            Question("limitations", "Where is it known to be wrong?"),
            Question("owner", "Who answers for it, and how are they reached?"),
            Question("licence", "Under which licence may it be used? An SPDX name, such as agpl-3.0."),
        ),
    ),
    Section(
        "architecture",
        "Model architecture",
        (Question("choice", "Why this architecture and size?"),),
    ),
    Section(
        "hyper_parameters",
        "Hyper-parameters",
        (Question("training", "With which epochs, batch size, optimiser, learning rate was it trained?"),),
    ),
    Section(
        "data",
        "Data preparation",
        (
            Question("source", "Which images, from which cameras and times?"),
            Question("size", "How many images and labelled boxes, of each class?"),
            Question("labelling", "Who labelled them, by which rules, checked how?"),
            Question("split", "How were training, validation and test images separated?"),
            Question("preparation", "Which cleaning, resizing, augmentation?"),
            Question("rights", "May these images be used, and are people in them?"),
        ),
    ),
    Section(
        "training",
        "Training process",
        (
            Question("procedure", "From which weights, with which command and code version?"),
            Question("hardware", "On which hardware, how long?"),
            Question("selection", "How was this checkpoint chosen?"),
        ),
    ),
    Section(
        "evaluation",
        "Evaluation metrics",
        (Question("judgement", "Is it good enough for its purpose, and which figures say so?"),),
    ),
    Section(
        "deployment",
        "Deployment steps",
        (Question("approval", "Who approves a deployment, after which checks?"),),
    ),
    Section(
        "monitoring",
        "Monitoring and maintenance plan",
        (
            Question("response", "Who acts upon its alerts, within which time?"),
            Question("retraining", "When is it retrained, by whom, with which data?"),
            Question("retirement", "When is it taken out of service?"),
        ),
    ),
    Section("changes", "Change history", ()),
    Section("drift", "Drift history", ()),
)
