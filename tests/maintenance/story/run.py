"""The whole story of maintenance, unattended: drift, alarm, samples, labels, training, proof, swap, and drift gone."""

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from agent.detection.opening import DEMO_MODEL
from tests.maintenance.story import models, world
from tests.maintenance.story.box import Box

BALLOONS, FOG = {"other_objects": 0.9}, {"fog": 0.7}
SAMPLES, AUDIT, EPOCHS, BATCH = 150, 25, 100, 4


@dataclass
class Story:
    """Runs in `folder`; `python` has ultralytics. `trained` is a model to take instead of training one (for haste)."""

    folder: Path
    python: str
    trained: Path | None = None
    facts: dict = field(default_factory=dict)

    def run(self):
        """All of it; `facts` has what came of each step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        views = {"crossing": world.View(1), "avenue": world.View(2)}
        with Box(self.folder, views) as box:
            self.box = box
            try:
                for step in (
                    self.learn, self.drift, self.collect, self.label, self.train, self.name_causes, self.refuse, self.cut_off, self.deploy,
                    self.follow, self.accept, self.go_back,
                ):  # fmt: skip
                    step()
            finally:
                self.keep()
        return self.facts

    def keep(self):
        """Write what was heard and typed, for the pictures."""
        (self.folder / "transcript.txt").write_text("\n".join(self.box.transcript) + "\n")
        windows = {
            name: [
                (at, body.get("drift_ratio"), body.get("drift_state"), bool(body.get("drift_provisional")))
                for at, topic, body in self.box.heard.messages if topic == f"camera/{name}"
            ]
            for name in self.box.views
        }  # fmt: skip
        kept = {"facts": self.facts, "marks": self.box.marks, "windows": windows}
        (self.folder / "story.json").write_text(json.dumps(kept, indent=1, default=str))

    # -- the model goes wrong ---------------------------------------------------------------------------

    def learn(self):
        box = self.box
        box.vedette("model", "keygen", "--out", self.folder / "release")
        box.write_config()
        box.start()
        box.mark("the agent runs; it learns what is normal")
        box.until(
            lambda: all(self.reference(name, final=True) for name in box.views),
            400,
            "references are recorded",
            every=2,
        )
        for name in box.views:
            box.until(lambda name=name: self.state(name) == "normal", 120, f"{name} is judged", every=2)

    def drift(self):
        box, began = self.box, self.box.now
        box.mark("a new kind of object comes to the crossing, fog to the avenue")
        box.change_world(crossing=BALLOONS, avenue=FOG)
        alerts = {name: box.alert("drift", name, since=began) for name in box.views}
        for name, (alert, at) in sorted(alerts.items(), key=lambda one: one[1][1]):
            box.mark(f"alarm of the {name}", at)
            box.transcript.append(alert["what"] + "\n" + alert["advice"])
        self.facts["alerts"] = {name: alert for name, (alert, _) in alerts.items()}

    def name_causes(self):
        """In idle time the agent has learnt what fog does to its frames; a busy box takes longer for it."""
        box = self.box
        box.until(
            lambda: self.camera("avenue").get("drift_cause") == "fog",
            1200,
            "the avenue's cause is named",
            every=5,
        )
        self.facts["causes"] = {name: self.camera(name).get("drift_cause", "") for name in box.views}
        self.facts["advice"] = box.vedette("advise")
        box.mark("the avenue's drift is put down to fog")

    # -- samples, labels, training ----------------------------------------------------------------------

    def collect(self):
        box = self.box
        began = time.time()

        def enough():
            there = [one for one in self.samples() if one["captured_at"] > began]
            return len(there) >= SAMPLES and sum(one["reason"] == "audit" for one in there) >= AUDIT

        box.until(enough, 600, "samples are kept", every=5)
        box.mark("enough samples are kept")
        box.vedette("samples", "list")
        box.vedette("samples", "show", "--out", self.folder / "sheet.png", "--last", "16")
        self.facts["reasons"] = sorted({one["reason"] for one in self.samples()})

    def label(self):
        box = self.box
        box.vedette("samples", "export", "--out", self.folder / "proposed")
        self.facts["boxes"] = world.label(self.folder / "proposed", self.samples(), box.views)
        began = box.now
        box.vedette("samples", "import-labels", self.folder / "proposed")
        box.mark("labels are imported")
        self.facts["accuracy"] = box.vedette("samples", "accuracy")
        [published, *_] = box.until(
            lambda: box.heard.of("accuracy", began), 240, "the accuracy is published", every=2
        )
        self.facts["accuracy_published"] = published
        box.vedette("samples", "export", "--labelled", "--out", self.folder / "set")

    def train(self):
        box, out = self.box, self.folder / "better"
        if self.trained is not None:
            out.mkdir()
            self.better = Path(shutil.copy(self.trained, out / "now-trained.onnx"))
        else:
            known = world.write_known(self.folder / "known")
            now = models.checkpoint(self.folder, known.parent / "images" / "train", self.python)
            self.facts["training"] = box.vedette(
                "model", "train", now, "--data", self.folder / "set" / "data.yaml", "--old", known, "--out", out,
                "--against", DEMO_MODEL, "--python", self.python, "--epochs", EPOCHS, "--batch", BATCH, "--imgsz", "320", "--yes",
            )  # fmt: skip
            self.better = out / "now-trained.onnx"
        box.mark("a model is trained")
        self.sign(self.better, 2)
        self.before_and_after()

    def before_and_after(self):
        """How both models do on frames of the crossing that nobody trained on."""
        folder = self.folder / "later"
        for kind in ("images", "labels"):
            (folder / kind / "test").mkdir(parents=True)
        view = world.View(1)
        for number in range(60):
            image, shown = view.drawn(40_000 + 37 * number, BALLOONS)
            cv2.imwrite(str(folder / "images" / "test" / f"{number}.jpg"), image)
            rows = "".join(f"{c} {' '.join(map(str, box))}\n" for c, *box in world._rows(shown))
            (folder / "labels" / "test" / f"{number}.txt").write_text(rows)
        names = f"test: images/test\nnames: {json.dumps(list(world.NAMES))}\n"
        (folder / "data.yaml").write_text(names)
        words = ("--data", folder / "data.yaml", "--split", "test", "--against", DEMO_MODEL)
        self.facts["evaluation"] = self.box.vedette("model", "evaluate", self.better, *words)

    # -- what must not come in --------------------------------------------------------------------------

    def refuse(self):
        box = self.box
        tampered = self.folder / "tampered.onnx"
        data = bytearray(self.better.read_bytes())
        data[len(data) // 2] ^= 1
        tampered.write_bytes(data)
        shutil.copy(f"{self.better}.sig", f"{tampered}.sig")
        bad = models.with_mixed_up_classes(self.better, self.folder / "bad.onnx")
        self.sign(bad, 2)
        unsigned = Path(shutil.copy(self.better, self.folder / "unsigned.onnx"))
        refused = {}
        for path in (tampered, unsigned, bad):
            refused[path.stem] = box.vedette("model", "deploy", path, expect=1)
            box.mark(f"{path.name} is refused")
        self.facts["refused"] = refused

    # -- the swap ---------------------------------------------------------------------------------------

    def cut_off(self):
        box = self.box
        began = box.now
        box.vedette("model", "deploy", "--no-wait", self.better)
        box.step("gated", since=began)
        box.kill()
        box.mark("kill -9 while the new model runs in the shadow")
        box.start()
        self.facts["cut_before_switch"] = box.deployment("refused", "kept", "returned")
        self.facts["in_force_after_cut"] = box.ask("model", "history", "--json")["in_force"]

    def deploy(self):
        box = self.box
        box.vedette("model", "deploy", self.better)
        box.mark("the better model is switched to")
        box.deployment("probation")
        box.kill()
        box.mark("kill -9 in its probation")
        box.start()
        self.facts["deployed"] = box.deployment("kept", "refused", "returned", seconds=400)
        box.mark("it has passed its probation, and is kept")
        report = box.ask("model", "history", "--json")
        self.facts["in_force"], self.facts["note"] = report["in_force"], report["history"][0]["note"]
        older = Path(shutil.copy(DEMO_MODEL, self.folder / "older.onnx"))
        self.sign(older, 1)
        self.facts["refused"]["older"] = box.vedette("model", "deploy", older, expect=1)
        box.mark("an older version is refused")

    def follow(self):
        """References follow the model: the new one is judged by the frames that were kept."""
        box = self.box
        for name in box.views:
            box.until(
                lambda name=name: self.reference(name), 240, f"the new model's reference of {name}", every=2
            )
        self.facts["followed"] = {name: self.reference(name) for name in box.views}
        box.until(
            lambda: self.state("crossing") in ("normal", "drift"), 120, "the crossing is judged", every=2
        )
        box.vedette("drift", "status")

    def accept(self):
        """What the new model sees is how things are now: an operator says so, and the fog lifts."""
        box, began = self.box, time.time()
        box.until(lambda: time.time() > began + 45, 60, "the new model has seen enough", every=2)
        self.facts["before_acceptance"] = {name: self.state(name) for name in box.views}
        box.vedette(
            "reference",
            "accept",
            "--camera",
            "crossing",
            "--since",
            "10m",
            "--why",
            "balloons are here to stay",
        )
        box.mark("an operator accepts the crossing as it is; the fog lifts")
        box.change_world(crossing=BALLOONS)
        for name in box.views:
            box.until(lambda name=name: self.state(name) == "normal", 300, f"{name} is normal again", every=2)
        box.mark("no camera drifts any more")
        settled = box.now
        box.until(lambda: box.now > settled + 60, 90, "it stays so", every=2)
        self.facts["drifts"] = [
            (one["drift_ratio"], one["drift_feature"])
            for one in box.heard.of("camera/crossing", settled)
            if "drift_ratio" in one
        ]
        self.facts["drift_after"] = box.vedette("drift", "status")
        self.facts["history_after"] = box.vedette("reference", "history", "--camera", "crossing")

    def go_back(self):
        """A model that is as good in clear weather, and blind in fog, comes through the gates and is returned."""
        box = self.box
        clear, foggy = (self.brightness(strengths) for strengths in (BALLOONS, {**BALLOONS, "fog": 0.5}))
        worse = models.blind_in_fog(self.better, self.folder / "blind.onnx", (clear + foggy) / 2)
        self.sign(worse, 3)
        box.probation = "10m"  # longer than it takes the fog to come
        box.change_world(crossing=BALLOONS)
        began = box.now
        box.vedette("model", "deploy", worse)
        box.mark("a model that is blind in fog is switched to; fog comes up")
        box.change_world(crossing={**BALLOONS, "fog": 0.5}, avenue={"fog": 0.5})
        self.facts["returned"] = box.deployment("kept", "returned", seconds=600)
        self.facts["returned_alert"], _ = box.alert("model_returned", "", since=began)
        box.mark("it is returned by itself")
        self.facts["in_force_at_the_end"] = box.ask("model", "history", "--json")["in_force"]
        self.facts["history"] = box.vedette("model", "history")
        box.vedette("log")

    # -- looking ----------------------------------------------------------------------------------------

    def brightness(self, strengths):
        """The mean input of the model, 0 to 1, in such a world: frames are padded with grey to the model's shape."""
        view, means = world.View(1), []
        for number in range(0, 400, 40):
            image, _ = view.drawn(number, strengths)
            means.append(float(np.mean(image)) / 255)
        return float(np.mean(means))

    def sign(self, path, version):
        self.box.vedette("model", "sign", path, "--key", self.folder / "release.key", "--version", version)

    def samples(self):
        return self.box.ask("samples", "list", "--json") or []

    def camera(self, name):
        """Its drift as `vedette drift status --json` has it."""
        found = self.box.ask("drift", "status", "--json", "--camera", name) or [{}]
        return found[0]

    def state(self, name):
        return self.camera(name).get("drift_state", "")

    def reference(self, name, final=None):
        """The reference in force, where it is of the running model (and final)."""
        found = self.camera(name).get("reference")
        return found if found is not None and final in (None, found["final"]) else None
