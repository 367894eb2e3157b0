"""Which of a camera's references can judge it: the one in force, or else the newest that fits."""

from __future__ import annotations

from agent.core.errors import ReferenceMismatch
from agent.references.recorder import Subject
from agent.references.store import ReferenceStore
from agent.references.stored import StoredReference


def choose(store: ReferenceStore, subject: Subject) -> tuple[StoredReference | None, str]:
    """The reference to judge by, and what is wrong with the one in force (empty: nothing).

    Whoever goes back to an older model finds its reference again.
    """
    try:
        versions = store.versions(subject.camera)
    except ReferenceMismatch as error:
        return None, str(error)
    current = [version for version in versions if version.current]
    others = [version for version in reversed(versions) if not version.current]
    problem = ""
    for version in (*current, *others):
        stored, wrong = _fitting(store, subject, version.id)
        if stored is not None:
            return stored, problem
        problem = problem or wrong
    return None, problem


def _fitting(store: ReferenceStore, subject: Subject, id: str) -> tuple[StoredReference | None, str]:
    try:
        stored = store.load(subject.camera, id)
        stored.reference.check(
            model_sha256=subject.model_sha256,
            feature_version=subject.feature_version,
            features=subject.features,
            window_seconds=subject.window_seconds,
        )
    except ReferenceMismatch as error:
        return None, str(error)
    return stored, ""
