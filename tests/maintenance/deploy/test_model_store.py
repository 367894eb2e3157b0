"""The store of models: bounded, whole under its digest, and nothing that is needed is ever lost."""

import os
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from agent.core.errors import ModelError
from agent.maintenance.deploy import model_store
from agent.maintenance.deploy.journal import DeploymentJournal
from agent.maintenance.deploy.model_store import MOST_MODELS, ModelStore, file_stem
from agent.maintenance.deploy.state import (
    CONFIGS,
    Deployment,
    DeploymentStep,
    Models,
    ModelVersion,
    advance,
    begin,
    started,
)
from tests.maintenance.deploy.conftest import PowerCut, seeded

LARGEST = 1 << 20


@pytest.fixture
def store(tmp_path):
    made = ModelStore(tmp_path / "state")
    made.open(())
    return made


def file(tmp_path, content, name="m.onnx"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_model_is_found_under_its_digest_whole(store, tmp_path):
    copied = store.copy(file(tmp_path, b"abc" * 1000), LARGEST)
    model = ModelVersion(sha256=copied.sha256, name="m")
    assert store.take_in(copied, model).read_bytes() == b"abc" * 1000
    assert store.path(model).parent.name == copied.sha256
    assert not list(store.incoming.iterdir())
    again = store.copy(file(tmp_path, b"abc" * 1000), LARGEST)
    store.take_in(again, model)
    assert store.path(model).is_file(), "the same model twice is one model"


def test_what_is_no_model_of_a_bounded_size_is_refused(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path / "none": "cannot be read",
        tmp_path / "pipe": "not a plain file",
        tmp_path: "Is a directory",
        file(tmp_path, b"", "empty"): "is empty",
        file(tmp_path, b"x" * 11, "large"): "over 10 bytes",
    }
    for path, reason in cases.items():
        with pytest.raises(ModelError, match=reason):
            store.copy(path, 10)
    assert not list(store.incoming.iterdir()), "and nothing is left of it"


def test_a_file_that_grows_while_it_is_read_stays_within_the_limit(store, tmp_path):
    path = file(tmp_path, b"x" * (1 << 20))

    def grow():
        with path.open("ab") as more:
            more.write(b"x" * (1 << 20))

    with pytest.raises(ModelError, match="over"):
        store.copy(path, 2 << 20, grow)


def test_a_full_disk_is_refused_before_anything_is_written(store, tmp_path):
    with pytest.raises(ModelError, match="MiB free"):
        store.check_space(1 << 60)


def test_a_disk_that_fills_meanwhile_is_refused_with_room_left(store, tmp_path, monkeypatch):
    model = tmp_path / "m.onnx"
    model.write_bytes(bytes(3 << 20))
    blocks = [1 << 30, 1 << 30, 10 << 20]  # free before it, at its first block, at its second

    def disk(_folder):
        return SimpleNamespace(f_bavail=blocks.pop(0), f_frsize=1)

    monkeypatch.setattr(model_store.os, "statvfs", disk)
    with pytest.raises(ModelError, match="10 MiB free"):
        store.copy(model, 1 << 30)
    assert not list(store.incoming.iterdir())


def test_an_upload_goes_whatever_comes_of_it_and_a_download_once_it_was_copied(store, tmp_path):
    for name, content, left in (("a.upload", b"x", []), ("b.part", b"x", []), ("c.upload", b"", [])):
        (store.incoming / name).write_bytes(content)
        with nullcontext() if content else pytest.raises(ModelError, match="empty"):
            store.discard(store.collect(store.incoming / name, 10))
        assert list(store.incoming.iterdir()) == left
    (store.incoming / "d.part").write_bytes(bytes(100))
    with pytest.raises(ModelError, match="over 10 bytes"):
        store.collect(store.incoming / "d.part", 10)
    assert [one.name for one in store.incoming.iterdir()] == ["d.part"], "another limit, and it goes on"
    own = tmp_path / "own.onnx"
    own.write_bytes(b"x")
    store.collect(own, 10)
    assert own.exists()


def test_those_that_are_needed_stay_and_the_others_are_few(store, tmp_path):
    made = []
    for number in range(MOST_MODELS + 4):
        copied = store.copy(file(tmp_path, b"%d" % number), LARGEST)
        made.append(ModelVersion(sha256=copied.sha256, name="m"))
        os.utime(store.take_in(copied, made[-1]).parent, (number, number))
        store.prune([model.sha256 for model in made[:2]])
    left = [number for number, model in enumerate(made) if store.path(model).exists()]
    assert left[:2] == [0, 1]
    assert left[2:] == [MOST_MODELS + 2, MOST_MODELS + 3]
    store.prune([model.sha256 for model in made])
    assert len(left) == MOST_MODELS


def test_links_are_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    for number in range(MOST_MODELS + 1):
        (store.folder / f"{number:064x}").symlink_to(outside)
    store.prune(())
    assert (outside / "kept").exists()
    store.incoming.rmdir()
    store.incoming.symlink_to(outside)
    with pytest.raises(ModelError, match="is a link"):
        store.open(())


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/x", "x"),
        (".hidden", "hidden"),
        ("ü b", "__b"),
        ("", "model"),
        ("a" * 300, "a" * 100),
        ("a/..", "model"),
    ],
)
def test_a_name_leads_nowhere(store, name, stem):
    assert file_stem(name) == stem
    with pytest.raises(ModelError):
        store.path(ModelVersion(sha256="../" * 21 + "x", name="m"))
    with pytest.raises(ModelError):
        store.path(ModelVersion(sha256="0" * 64, name="../m"))


def deploy(state, source):
    """The writes of a deployment, in the worker's order."""
    store, journal = ModelStore(state), DeploymentJournal(state / "models")
    models = journal.read("")
    store.open(models.needed)
    model = ModelVersion(sha256="", name="m")
    begun = Deployment(id="d", model=model, source="file", by="ann", begun_at=1.0, changed_at=1.0)
    journal.write(models := begin(models, begun))
    copied = store.copy(source, LARGEST)
    journal.write(models := advance(models, 2.0))
    model = ModelVersion(sha256=copied.sha256, name="m")
    store.take_in(copied, model)
    while models.deployment is not None:
        journal.write(models := advance(models, 3.0, model=model))
    store.prune(models.needed)


@pytest.mark.parametrize("draw", range(2))
def test_a_power_cut_at_any_sync_leaves_exactly_the_old_or_the_new_model(tmp_path, disk, draw):
    state = tmp_path / "state"
    state.mkdir()
    deploy(state, file(tmp_path, b"old model"))
    old = DeploymentJournal(state / "models").read("").in_force
    source, outcomes = file(tmp_path, b"new model" * 1000), set()
    for cut_at in range(1, 200):
        here = tmp_path / f"cut-{cut_at}"
        shutil.copytree(state, here)
        watched = disk(here, cut_at)
        try:
            deploy(here, source)
            cut = False
        except PowerCut:
            cut = True
        watched.off = False
        watched.cut_at = None
        left = tmp_path / f"left-{cut_at}"
        watched.survivors(left, seeded(draw * 1000 + cut_at))
        store, journal = ModelStore(left), DeploymentJournal(left / "models")
        models = started(journal.read(""), "", 5.0)
        store.open(models.needed)
        assert models.in_force != CONFIGS
        content = store.path(models.in_force).read_bytes()
        assert content == (b"old model" if models.in_force == old else b"new model" * 1000)
        assert models.deployment is None or models.deployment.step in {
            DeploymentStep.SWITCHED,
            DeploymentStep.PROBATION,
        }
        assert not list(store.incoming.iterdir())
        outcomes.add(models.in_force == old)
        if not cut:
            break
    assert not cut
    assert outcomes == {True, False}, "some cuts left the old one, some the new one"


def test_the_power_cut_finds_a_journal_that_is_not_synced(tmp_path, disk, monkeypatch):
    """The adversary itself: without the sync of the file, a cut tears the journal."""
    state = tmp_path / "state"
    state.mkdir()
    watched = disk(state)
    models = Models(config_path="x" * 1000)
    (state / ".t").write_bytes(b"y" * 5000)
    (state / ".t").replace(state / "deploy.json")
    torn = set()
    for draw in range(20):
        left = tmp_path / f"left-{draw}"
        watched.survivors(left, seeded(draw))
        path = left / "deploy.json"
        torn.add(path.stat().st_size if path.exists() else -1)
    assert len(torn) > 3
    DeploymentJournal(state).write(models)
    watched.survivors(tmp_path / "whole", seeded(1))
    assert DeploymentJournal(tmp_path / "whole").read("") == models
