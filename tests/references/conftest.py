"""A camera whose features are drawn from a generator: windows as the agent makes them, and the room around a keeper."""

import dataclasses

import numpy as np
import pytest

from agent.config.schema import DriftSettings
from agent.drift.sketch import Window
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.keeper import Keeper
from agent.references.recorder import Recorder, Subject
from agent.references.store import ReferenceStore
from agent.references.writer import ReferenceWriter

NOON = 1_790_000_000.0 // 86400 * 86400 + 12 * 3600
SUBJECT = Subject(
    camera="front",
    model_sha256="a" * 64,
    feature_version=FEATURE_VERSION,
    features=FEATURES,
    window_seconds=60.0,
)


class Source:
    """Windows of 60 s with `samples` frames; `shift` moves the features named, in sigma."""

    def __init__(self, start=NOON, samples=30, seed=3, camera="front"):
        self.now, self.samples, self.camera = start, samples, camera
        self.random = np.random.default_rng(seed)
        self.means = np.linspace(10.0, 60.0, len(FEATURES))

    def window(self, samples=None, **shift):
        samples = self.samples if samples is None else samples
        vectors = self.random.normal(self.means, 2.0, (samples, len(FEATURES))).astype(np.float32)
        for name, sigmas in shift.items():
            vectors[:, FEATURES.index(name)] += 2.0 * sigmas
        collector = Window(self.camera, FEATURES, FEATURE_VERSION, interval=2.0)
        if samples:
            collector.extend(vectors, [0, 0, 2], at=self.now + 2.0 * np.arange(samples))
        start, self.now = self.now, self.now + 60.0
        return collector.close(start, self.now), vectors

    def embeddings(self, count=8):
        return [self.random.normal(1.0, 0.2, 64).astype(np.float32) for _ in range(count)]


def recorded(windows=60, source=None, **changes):
    source = source or Source()
    subject = dataclasses.replace(SUBJECT, **changes)
    recorder = Recorder(subject, made_by="asked", length=windows * 60.0, started_at=source.now)
    for _ in range(windows):
        window, vectors = source.window()
        recorder.add(window, vectors, source.embeddings())
    return recorder


class Room:
    """A keeper with its shelf and librarian, without threads: what is asked is done by `settle`."""

    def __init__(self, folder, subject=SUBJECT, **settings):
        self.store = ReferenceStore(folder)
        self.writer = ReferenceWriter()
        self.settings = dataclasses.replace(DriftSettings(), **settings)
        self.posted = []
        self.subject = subject
        self.keeper = self.new()

    def new(self):
        """Another keeper on the same files: after a restart."""
        self.keeper = Keeper(self.subject, self.settings, self.store, self.writer, self.posted.append)
        return self.keeper

    def settle(self):
        """Have the librarian do what it was asked, and what it posted back done too."""
        stop = type("Stop", (), {"is_set": staticmethod(lambda: True)})
        self.writer.run(stop)
        while self.posted:
            self.posted.pop(0)()

    def feed(self, source, windows, **shift):
        """Windows through the keeper; what it told of each."""
        told = []
        for _ in range(windows):
            window, vectors = source.window(**shift)
            embeddings = source.embeddings()
            for vector in vectors:
                self.keeper.see(vector, embeddings[0])
            told.append(self.keeper.window(window, vectors, embeddings, window.end))
            self.settle()
        return told


@pytest.fixture
def source():
    return Source()


@pytest.fixture(scope="session")
def stored():
    return recorded().make(NOON + 3600, final=True)


@pytest.fixture
def room(tmp_path):
    """Makes rooms on one folder."""
    return lambda **settings: Room(tmp_path, **settings)
