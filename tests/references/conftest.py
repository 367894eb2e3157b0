"""A camera whose features are drawn from a generator: windows as the agent makes them, and a monitor of it."""

import dataclasses

import numpy as np
import pytest

from agent.config.schema import DriftSettings
from agent.drift.sketch import Window
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.causes import CameraCauses
from agent.references.frame_store import FrameStore
from agent.references.monitor import DriftMonitor
from agent.references.recorder import ReferenceRecorder, Subject
from agent.references.sampling import SampledFrame, SampledWindow
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


def sampled(window, vectors, embeddings=()):
    """A window as it is sampled; the first frames have the embeddings."""
    rest = [None] * (len(vectors) - len(embeddings))
    frames = [
        SampledFrame(vector=v, embedding=e) for v, e in zip(vectors, [*embeddings, *rest], strict=False)
    ]
    return SampledWindow(sketch=window, frames=frames)


def recorded(windows=60, source=None, **changes):
    source = source or Source()
    subject = dataclasses.replace(SUBJECT, **changes)
    recorder = ReferenceRecorder(subject, made_by="asked", length=windows * 60.0, started_at=source.now)
    for _ in range(windows):
        window, vectors = source.window()
        recorder.add(window, vectors, source.embeddings())
    return recorder


class Room:
    """A monitor with its store and writer, without threads: `settle` carries out what they were given."""

    def __init__(self, folder, subject=SUBJECT, sketch_seconds=0.0, **settings):
        self.store = ReferenceStore(folder)
        self.writer = ReferenceWriter()
        self.settings = dataclasses.replace(DriftSettings(), **settings)
        self.posted, self.published = [], []
        self.subject, self.sketch_seconds = subject, sketch_seconds
        self.asked, self.golden = [], "waiting"
        self.causes = CameraCauses(
            subject.camera,
            subject.window_seconds,
            hidden=(),
            frames=FrameStore(self.store),
            writer=self.writer,
            learn=lambda *job: self.asked.append(job),
            look=print,
            golden=lambda: self.golden,
        )
        self.monitor = self.new()

    def new(self):
        """Another monitor on the same files: after a restart."""
        self.monitor = DriftMonitor(
            self.subject,
            self.settings,
            self.store,
            self.writer,
            causes=self.causes,
            submit=self.posted.append,
            publish=self.published.append,
            sketch_seconds=self.sketch_seconds,
        )
        return self.monitor

    def settle(self):
        """Carry out the writer's tasks, and what they submit."""
        stop = type("Stop", (), {"is_set": staticmethod(lambda: True)})
        self.writer.run(stop)
        while self.posted:
            self.posted.pop(0)()

    def feed(self, source, windows, **shift):
        """Windows through the monitor; the fields and observations of each."""
        judged = []
        for _ in range(windows):
            window, vectors = source.window(**shift)
            embeddings = source.embeddings()
            judged.append(self.monitor.process(sampled(window, vectors, embeddings), window.end))
            self.settle()
        return judged


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
