"""Model cards of real models: what is known, what a person adds, gaps, and hostile words."""

import json
import re
from pathlib import Path

import pytest
import yaml

from agent.__main__ import main
from agent.cli import model_card
from agent.core.logbook import Logbook
from agent.core.types import Observation
from agent.maintenance.card import SECTIONS, chart, person
from agent.maintenance.card.words import plain, table
from agent.modeltools.embed import load
from agent.modeltools.graph_facts import graph_facts

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "agent" / "detection" / "demo.onnx"
YOLO = ROOT.parent / "shared" / "models" / "yolo11n.onnx"


@pytest.fixture
def model(tmp_path):
    copy = tmp_path / "yard.onnx"
    copy.write_bytes(DEMO.read_bytes())
    return copy


def card_of(model, *words):
    assert main(["model", "card", str(model), *map(str, words)]) == 0
    base = model.parent / f"{model.stem}.card"
    return base.with_name(base.name + ".md").read_text(), base.with_name(base.name + ".html").read_text()


def front_of(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_a_card_without_anything_else_names_what_is_known_and_every_gap(model, tmp_path):
    text, page = card_of(model, "--state", tmp_path)
    assert front_of(text)["pipeline_tag"] == "object-detection" and front_of(text)["library_name"] == "onnx"
    assert "model-index" not in front_of(text)
    assert "| parameters | 172,612 |" in text
    assert "| floating\\-point operations | 184,601,600 for an image of 320 x 320 " in text
    for section in SECTIONS:
        assert f"## {section.title}" in text
        for question in section.questions:
            assert f"(`{section.name}.{question.key}`)" in text
    assert page.count("<em>Not recorded:</em>") == text.count("*Not recorded:*")


def test_the_check_of_a_prepared_model_names_what_was_measured_alone(model, tmp_path):
    known = json.loads(DEMO.with_suffix(".json").read_text()) | {"model": model.name}
    assert known["checks"]["f1"] is None, "of an INT8 model alone"
    model.with_suffix(".json").write_text(json.dumps(known))
    text, _ = card_of(model, "--state", tmp_path)
    (line,) = (line for line in text.splitlines() if line.startswith("| compared with its source"))
    assert "least iou 1.0" in line and "f1" not in line


def test_what_a_person_adds_fills_the_gap(model, tmp_path, capsys):
    assert main(["model", "card", str(model), "--template"]) == 0
    template = capsys.readouterr().out
    beside = tmp_path / "yard.card.toml"
    beside.write_text(
        template.replace('purpose = ""', 'purpose = "Counts **lorries**."').replace(
            'licence = ""', 'licence = "mit"'
        )
    )
    text, page = card_of(model, "--state", tmp_path)
    assert "Counts **lorries**." in text and "<strong>lorries</strong>" in page
    assert front_of(text)["license"] == "mit"
    assert "(`overview.purpose`)" not in text


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("[overview]\npurpos = 'x'\n", "`overview.purpos` is unknown; did you mean 'purpose'?"),
        ("[overveiw]\n", "did you mean 'overview'?"),
        ("overview = 3\n", "`overview`"),
        ("[overview]\npurpose = 3\n", "`purpose`"),
        ("[overview\n", "line 1"),
    ],
)
def test_a_mistake_in_it_names_file_and_key(model, tmp_path, capsys, written, fault):
    (tmp_path / "yard.card.toml").write_text(written)
    assert main(["model", "card", str(model), "--state", str(tmp_path)]) == 78
    error = capsys.readouterr().err
    assert "yard.card.toml" in error and fault in error


def test_the_template_is_read_as_no_answers(model, tmp_path, capsys):
    main(["model", "card", str(model), "--template"])
    (tmp_path / "x.card.toml").write_text(capsys.readouterr().out)
    assert not any(person.read(tmp_path / "x.card.toml").values())


def report_of(model, **changes):
    figures = {"boxes": 9, "precision": 0.9, "recall": 0.8, "f1": 0.85, "map50": 0.91, "map50_95": 0.7}
    one = {
        "sha256": model_card._model(model)[0].sha256,
        "all": figures,
        "classes": {"person": figures},
        "sizes": {"small": figures},
        "cameras": {},
        "provider": "cpu",
        "inference_seconds_p50": 0.01,
        "inference_seconds_p99": 0.02,
        "memory_bytes": 1e8,
    }
    return {"data": "set/data.yaml", "split": "val", "images": 12, "boxes": 9, "models": [one | changes]}


def test_figures_of_an_evaluation_stand_in_text_and_front_matter(model, tmp_path):
    (tmp_path / "e.json").write_text(json.dumps(report_of(model)))
    text, _ = card_of(model, "--state", tmp_path, "--evaluation", tmp_path / "e.json")
    (entry,) = front_of(text)["model-index"]
    metrics = {one["type"]: one["value"] for one in entry["results"][0]["metrics"]}
    assert metrics == {"precision": 0.9, "recall": 0.8, "map50": 0.91, "map50_95": 0.7}
    assert "| person | 9 | 0.9 | 0.8 | 0.85 | 0.91 | 0.7 |" in text


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"sha256": "0" * 64}, "another model"), ({"all": 3}, "`all`"), ({"classes": {"a": 1}}, "`row`")],
)
def test_an_evaluation_of_something_else_is_refused(model, tmp_path, capsys, changes, fault):
    (tmp_path / "e.json").write_text(json.dumps(report_of(model, **changes)))
    words = ["model", "card", str(model), "--state", str(tmp_path), "--evaluation", str(tmp_path / "e.json")]
    assert main(words) == 78
    assert fault in capsys.readouterr().err


def test_the_history_of_a_device_is_in_it_with_pictures(model, tmp_path, monkeypatch):
    state = tmp_path / "state"
    state.mkdir()
    info, _ = model_card._model(model)
    book = Logbook(state)
    book.note("model", f"yard ({info.sha256[:12]}) instead of old (0123456789ab)", who="release")
    book.note("limit", "drift = 2", who="ada | <b>")
    hours = [
        Observation(metric="drift.ratio", value=0.2 + 0.1 * n, at=3600.0 * n, labels={"camera": "front"})
        for n in range(12)
    ]
    monkeypatch.setattr("agent.app.history._observations", lambda _state, _span: iter(hours))
    text, page = card_of(model, "--state", state)
    assert "On this device it is **in force**." in text
    assert "limit: drift = 2 | ada \\| \\<b\\> |" in text
    assert "12 minutes with a verdict in the last 7 days, 4 of them over the limit" in text
    assert (tmp_path / "yard.card-drift-front.svg").read_text().startswith("<svg")
    assert "![Drift of camera front](yard.card-drift-front.svg)" in text
    assert page.count("data:image/svg+xml;base64,") == 1 and "yard.card-drift-front.svg" not in page


HOSTILE = "<script>x</script> | [a](javascript:x) `b` **c** ![d](http://e/f) \x1b[31m\n# g"


def test_words_from_outside_mean_nothing():
    assert "\n" not in plain(HOSTILE) and "\x1b" not in plain(HOSTILE)
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(table(("a",), [(HOSTILE,)]))
    assert not re.search(r"<(script|a|img|h1|strong|code)\b", page)
    assert page.count("<td>") == 1


def test_a_page_with_hostile_answers_runs_and_loads_nothing(model, tmp_path):
    answers = json.dumps(HOSTILE)
    (tmp_path / "yard.card.toml").write_text(
        f"[overview]\npurpose = {answers}\n".replace("\\u001b", "\\u001B")
    )
    _, page = card_of(model, "--state", tmp_path)
    assert "<script" not in page and "javascript:" not in re.sub(r"[(\[]a[)\]]\(javascript:x\)", "", page)
    assert "default-src 'none'" in page


def test_nothing_of_another_kind_is_replaced(model, tmp_path):
    (tmp_path / "yard.card.md").write_text("precious")
    assert main(["model", "card", str(model), "--state", str(tmp_path)]) == 1
    assert (tmp_path / "yard.card.md").read_text() == "precious"
    assert not (tmp_path / "yard.card.html").exists()
    assert main(["model", "card", str(model), "--state", str(tmp_path), "--force"]) == 0
    assert main(["model", "card", str(model), "--state", str(tmp_path)]) == 0


@pytest.mark.shared
@pytest.mark.skipif(not YOLO.exists(), reason="needs the real model")
def test_parameters_and_operations_are_those_that_ultralytics_counts():
    """`YOLO("yolo11n.pt").info()` of Ultralytics 8.4: 2,616,248 parameters (fused), 6.5425024 GFLOPs."""
    facts = graph_facts(load(str(YOLO)), (640, 640))
    assert facts.flops == pytest.approx(6.5425024e9)
    assert facts.parameters == 2_616_248
    half = graph_facts(load(str(YOLO)), (320, 320))
    assert half.flops == pytest.approx(facts.flops / 4, rel=0.02)


def test_operations_that_cannot_be_counted_are_a_gap(model):
    from onnx import TensorProto, helper

    graph = load(str(model))
    graph.graph.node.append(helper.make_node("MatMul", ["nowhere", "somewhere"], ["made"]))
    graph.graph.output.append(helper.make_tensor_value_info("made", TensorProto.FLOAT, None))
    facts = graph_facts(graph, (320, 320))
    assert facts.flops is None and facts.unsized == 1


def test_a_chart_draws_gaps_alarms_and_any_name():
    points = [(0.0, 0.2), (3600.0, 1.5), (90_000.0, 0.1)]
    svg = chart.drift_chart("camera <x>", points, [3600.0, 1e12])
    assert svg.count("<polyline") == 2 and svg.count("<circle") == 1 and "camera &lt;x&gt;" in svg
    assert "nan" not in chart.drift_chart("one", [(5.0, 0.0)], [])
