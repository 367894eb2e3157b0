import base64
import dataclasses
import errno

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.__main__ import main
from agent.config.schema import SampleSettings
from agent.core.errors import VedetteError
from agent.maintenance.samples import collector as collector_module
from agent.maintenance.samples.collector import SampleCollector
from agent.maintenance.samples.sealing import opened, read_private_key
from agent.maintenance.samples.store import SampleStore
from tests.maintenance.samples.conftest import MODEL, found, info, result


def scene(seed):
    """Noise without colour: a JPEG keeps it."""
    return np.repeat(np.random.default_rng(seed).integers(0, 255, (60, 80, 1), dtype=np.uint8), 3, axis=2)


@pytest.fixture
def collected(tmp_path):
    """Feeds frames, half a second apart, to a collector of `settings`; what is kept in the end."""

    def feed(frames, seconds=0.5, drifting=False, **settings):
        words = {"enabled": True, "per_day": 10_000, **settings}
        made = SampleCollector(SampleSettings(**words), tmp_path, info)
        made.window("front", {"drift_state": "drift" if drifting else "normal"})
        for number, (detections, image) in enumerate(frames):
            one = result(number * seconds, detections, image)
            made.offer(one)
            while made._inbox:
                made.add(made._inbox.popleft())
        made.due(1e9)
        return list(SampleStore(tmp_path).samples()), made

    return feed


def test_a_blinking_object_is_kept_with_the_frame_in_which_it_is_missing(collected, tmp_path):
    there = found((10, 10, 40, 40, 0.9, 1))
    frames = [(found() if number == 20 else there, scene(number)) for number in range(40)]
    kept, made = collected(frames, reasons=("blink",))
    [blink] = [one for one in kept if one.sample.reason == "blink"]
    assert blink.sample.found == ()
    assert blink.sample.model == MODEL and (blink.sample.width, blink.sample.height) == (80, 60)
    assert np.abs(cv2.imread(str(blink.image)).astype(int) - scene(20)).mean() < 30
    assert SampleStore(tmp_path).classes() == {MODEL: ("person", "car")}
    assert made.handlers()["samples"]({})["since_start"]["blink"] == 1


def test_a_sample_says_what_was_estimated_of_the_model_then(tmp_path):
    told = {("front", MODEL): 0.875}
    made = SampleCollector(
        SampleSettings(enabled=True, per_day=10_000), tmp_path, info, lambda *of: told.get(of)
    )
    for number in range(400):
        made.add(result(number * 0.5, found(), scene(number)))
        if number == 200:
            told.clear()
    made.due(1e9)
    first, *_, last = [one.sample.estimate for one in SampleStore(tmp_path).samples()]
    assert (first, last) == (0.875, None)


def test_frames_of_a_drift_are_kept_while_it_is_on(collected):
    frames = [(found(), scene(number)) for number in range(80)]
    assert not [one for one in collected(frames, reasons=("drift",))[0] if one.sample.reason == "drift"]
    assert [
        one for one in collected(frames, reasons=("drift",), drifting=True)[0] if one.sample.reason == "drift"
    ]


def test_a_frame_on_which_two_models_disagree_is_kept_and_is_no_audit(collected, tmp_path):
    made = SampleCollector(SampleSettings(enabled=True, per_day=10_000, reasons=("shadow",)), tmp_path, info)
    one = result(0, found((10, 10, 40, 40, 0.9, 1)), scene(1))
    made.dispute(one, 0.5)
    assert not made._disputed, "a camera whose frames may not be kept"
    made.offer(one)
    made.add(made._inbox.popleft())
    made.dispute(result(0.5, found((10, 10, 40, 40, 0.9, 1)), scene(2)), 0.5)
    made.add_disputed(*made._disputed.popleft())
    made.due(1e9)
    assert [each.sample.reason for each in SampleStore(tmp_path).samples()] == ["shadow"]


def test_encrypted_samples_open_with_the_private_key_alone_and_never_lie_there_in_plain(
    collected, tmp_path, capsys
):
    x25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.x25519")
    pytest.importorskip("cryptography.hazmat.primitives.hpke")
    from cryptography.hazmat.primitives import serialization as form

    def write(name, key):
        pem = form.Encoding.PEM
        private, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        private.write_bytes(key.private_bytes(pem, form.PrivateFormat.PKCS8, form.NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(pem, form.PublicFormat.SubjectPublicKeyInfo))
        return private, public

    (private, public), (other, _) = (
        write(name, x25519.X25519PrivateKey.generate()) for name in ("ours", "other")
    )
    frames = [(found(), scene(number)) for number in range(300)]
    kept, made = collected(frames, encrypt_to=str(tmp_path / "none.pub"))
    assert not kept and not list(tmp_path.glob("samples/*/*/*"))
    assert "none.pub cannot be read" in made.handlers()["samples"]({})["problem"]

    # an algorithm that the library has never heard of
    spki = bytes.fromhex("3016300506032a0304030d00" + "00" * 12)
    unknown = base64.encodebytes(spki).decode()
    (tmp_path / "odd.pub").write_text(f"-----BEGIN PUBLIC KEY-----\n{unknown}-----END PUBLIC KEY-----\n")
    kept, made = collected(frames, encrypt_to=str(tmp_path / "odd.pub"))
    assert not kept
    assert "odd.pub is not a public key (PEM)" in made.handlers()["samples"]({})["problem"]

    kept, _ = collected(frames, encrypt_to=str(public))
    assert kept and all(one.sealed for one in kept)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"JFIF" in path.read_bytes()]
    state, out = ["samples", "--state", str(tmp_path)], tmp_path / "set"
    assert main([*state, "export", "--out", str(out)]) == 1
    assert "are encrypted: give their private key with --key" in capsys.readouterr().err
    assert main([*state, "export", "--out", str(out), "--key", str(other)]) == 1
    assert "cannot be decrypted" in capsys.readouterr().err
    assert main([*state, "export", "--out", str(out), "--key", str(private)]) == 0
    images = list(out.rglob("*.jpg"))
    assert len(images) == len(kept) > 1
    assert cv2.imread(str(images[0])).shape == (60, 80, 3)
    assert main([*state, "show", "--out", str(tmp_path / "sheet.png"), "--key", str(private)]) == 0

    first, second = kept[0], kept[1]
    first.image.write_bytes(second.image.read_bytes())
    with pytest.raises(VedetteError, match="cannot be decrypted"):
        opened(first, read_private_key(private), tmp_path)


def test_what_is_to_be_blurred_cannot_be_recognised_in_what_is_written(collected, tmp_path):
    box = (10, 10, 70, 50)
    frames = [(found((*box, 0.9, 0)), scene(number)) for number in range(300)]
    kept, _ = collected(frames, blur=("person",))
    assert kept
    for one in kept:
        image = cv2.imread(str(one.image))
        assert image[15:45, 15:65].std() < 0.6 * image[:8].std(), (
            "noise averaged over coarse blocks has little scatter"
        )
        SampleStore(tmp_path).remove(one)
    other, _ = collected(frames, blur=("car",))
    image = cv2.imread(str(other[-1].image))
    assert image[15:45, 15:65].std() > 0.9 * image[:8].std(), "other classes stay as they are"


def test_another_models_embeddings_are_not_novel_by_those_of_the_one_before(tmp_path):
    models = [info(), dataclasses.replace(info(), sha256="cd" * 32)]
    made = SampleCollector(SampleSettings(enabled=True, per_day=100_000), tmp_path, lambda: models[0])
    chance = np.random.default_rng(3)
    for number in range(600):
        if number == 300:
            models.pop(0)
        shift = 9.0 if number < 300 else 0.0
        embedding = chance.normal(shift, 1.0, 64).astype(np.float32)
        made.add(result(0.25 * number, found(embedding=embedding, model=models[0].sha256), scene(number)))
    made.due(1e9)
    kept = [one.sample for one in SampleStore(tmp_path).samples()]
    assert {one.model for one in kept} == {"ab" * 32, "cd" * 32}
    assert not [one.id for one in kept if one.reason == "novel" and one.model == "cd" * 32]


def test_a_frame_at_the_moment_of_a_deployment_is_not_filed_under_the_other_model(tmp_path):
    old, new = info(), dataclasses.replace(info(), sha256="cd" * 32, classes=("lorry", "person"))
    models = [old]
    made = SampleCollector(SampleSettings(enabled=True, per_day=10_000_000), tmp_path, lambda: models[-1])
    car = (10, 10, 40, 40, 0.9, 1)
    for number in range(40):
        if number == 18:  # two results of the old model are still on their way
            models.append(new)
        by = old if number < 20 else new
        one = result(0.5 * number, found(*[car] * (by is old), model=by.sha256), scene(number))
        made.add(one)
        made.dispute(one, 0.9)
        made.add_disputed(one, 0.9)
    made.due(1e9)
    kept = [one.sample for one in SampleStore(tmp_path).samples()]
    assert {one.model for one in kept} == {old.sha256, new.sha256}
    assert all(bool(one.found) == (one.model == old.sha256) for one in kept)
    assert "blink" not in {one.reason for one in kept}, "nothing vanished but the model that saw it"


def test_frames_of_faulty_and_other_cameras_are_left_out(collected, tmp_path):
    made = SampleCollector(SampleSettings(enabled=True, cameras=("gate",)), tmp_path, info)
    made.offer(result(0, found()))
    made.offer(result(1, found(), camera="gate", usable=False))
    assert not made._inbox
    made.offer(result(2, found(), camera="gate"))
    made.offer(result(2.1, found(), camera="gate"))
    assert len(made._inbox) == 1, "four times a second at most"
    off = SampleCollector(SampleSettings(), tmp_path, info)
    off.offer(result(0, found()))
    assert not off._inbox and not off.enabled


def test_a_full_disk_is_logged_once_and_ends_nothing(collected, monkeypatch):
    def full(_store, sample, *_args, **_words):
        raise OSError(errno.ENOSPC, "No space left on device", f"{sample.id}.jpg")

    monkeypatch.setattr(collector_module.SampleStore, "put", full)
    with capture_logs() as logs:
        kept, made = collected([(found(), scene(number)) for number in range(300)], per_day=10_000)
    assert not kept
    assert len([entry for entry in logs if "cannot be written" in entry["event"]]) == 1
    assert "No space" in made.handlers()["samples"]({})["problem"]


def test_samples_stay_within_their_size(collected):
    noise = [
        (found(), np.random.default_rng(n).integers(0, 255, (600, 800, 3), dtype=np.uint8)) for n in range(60)
    ]
    kept, _ = collected(noise, size=1 << 20)
    assert kept and sum(one.size for one in kept) <= 1 << 20
