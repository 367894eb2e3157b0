"""`benchmarks/gpu.py`: a step that crashes, hangs or leaves children behind stops no other, and nothing known is lost."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from gpu_parts.report import markdown, write
from gpu_parts.steps import Step, run_steps

from agent.telemetry.probes.nvml_queries import QUERIES, SLOW_QUERIES
from tests.telemetry.fake_nvml.library import build
from tests.waiting import wait_until

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ONE_ROW = """print('@figures {"table": "t", "value": 1}', flush=True)"""


def step(name, program, seconds=20.0):
    return Step(name=name, part=name, command=(sys.executable, "-u", "-c", program), seconds=seconds)


def gpu(*words, **more):
    return subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py", *words], capture_output=True, text=True, timeout=100, **more
    )


def test_what_fails_or_hangs_stops_no_other_and_keeps_what_it_found():
    steps = [
        step("crash", f"{ONE_ROW}; import os; os.abort()"),
        step("hang", f"{ONE_ROW}; import time; time.sleep(60)", seconds=1.0),
        step("error", f"{ONE_ROW}; raise RuntimeError('no such GPU')"),
        step("good", ONE_ROW),
    ]
    known = []
    results = run_steps(
        steps, budget=60, environment=os.environ, after=lambda results: known.append(len(results.rows))
    )
    assert [end["end"] for end in results.ends] == [
        "failed (exit code -6)",
        "stopped at its limit of 1 s",
        "failed (exit code 1)",
        "done",
    ]
    assert [row["step"] for row in results.rows] == ["crash", "hang", "error", "good"]
    assert known == [1, 2, 3, 4]


def test_children_of_a_step_end_with_it(capsys):
    child = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    run_steps(
        [step("hang", f"{child}; import time; time.sleep(60)", seconds=3.0)],
        budget=60,
        environment=os.environ,
    )
    pid = int(next(line for line in capsys.readouterr().out.splitlines() if line.strip().isdigit()))
    wait_until(
        lambda: not (psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE), 5
    )


def test_all_steps_together_end_within_the_budget():
    hanging = [step(f"hang {n}", "import time; time.sleep(60)") for n in range(3)]
    began = time.monotonic()
    results = run_steps(hanging, budget=2.0, environment=os.environ)
    assert time.monotonic() - began < 10
    assert [end["end"] for end in results.ends][1:] == ["left out: the budget is spent"] * 2


def test_the_report_has_every_row_and_ratios_to_the_bare_loop_of_the_same_round(tmp_path):
    program = "\n".join(
        f"print('@figures ' + {json.dumps(json.dumps(row))}, flush=True)"
        for row in (
            {"table": "the whole agent", "round": 1, "contender": "bare, batch of 1", "fps": 100.0},
            {"table": "the whole agent", "round": 1, "contender": "bare, batch of 8", "fps": 200.0},
            {"table": "the whole agent", "round": 1, "contender": "agent, 4 cameras", "fps": 190.0},
            {"table": "the whole agent", "round": 2, "contender": "agent, 4 cameras", "fps": 90.0},
            {"table": "the whole agent", "round": 2, "contender": "bare, batch of 8", "fps": 100.0},
        )
    )
    results = run_steps([step("whole", program)], budget=30, environment=os.environ)
    write(tmp_path, {"system": "here"}, results)
    assert len(json.loads((tmp_path / "gpu.json").read_text())["rows"]) == 5
    assert "| agent, 4 cameras | 2 | 0.925 | 0.9 | 0.95 |" in markdown({}, results)


def test_help_and_plan_measure_nothing(tmp_path):
    model = BENCHMARKS.parent / "agent" / "detection" / "demo.onnx"
    words = ["--model", model, "--videos", model, "--out", tmp_path]
    assert "--budget" in gpu("--help").stdout
    plan = gpu(*words, "--plan").stdout
    assert [f"whole, {count} cameras, round 2" in plan for count in (1, 4, 16, 64)] == [True] * 4
    assert list(tmp_path.iterdir()) == []
    only = gpu(*words, "--plan", "--parts", "nvml").stdout
    assert [line.split()[0] for line in only.splitlines()] == ["nvml"]


@pytest.mark.slow
def test_every_question_to_nvml_is_noted_with_its_answer_and_its_cost(tmp_path):
    build(tmp_path)
    model = BENCHMARKS.parent / "agent" / "detection" / "demo.onnx"
    words = ["--model", model, "--videos", model, "--out", tmp_path, "--parts", "nvml"]
    done = gpu(*words, env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout
    rows = [row for row in json.loads((tmp_path / "gpu.json").read_text())["rows"] if row["table"] == "NVML"]
    answers = {row["field"]: row["answer"] for row in rows}
    assert answers["temperature"] == {"gpu_temperature_celsius": 61}
    assert {*QUERIES, *SLOW_QUERIES} <= set(answers)
    assert all(row["p50_ms"] > 0 for row in rows if row["field"] in QUERIES)


@pytest.mark.slow
def test_the_parts_run_on_the_cpu(tmp_path):
    shared = BENCHMARKS.parents[1] / "shared"
    if not shared.exists():
        pytest.skip("needs the real model and videos")
    model, video = shared / "models/yolo11n.onnx", shared / "videos/car-detection.mp4"
    words = ["--model", model, "--videos", video, "--out", tmp_path, "--quick", "--provider", "cpu"]
    done = gpu(*words, "--parts", "libraries", "nvml", "boxes", "graphs")
    assert done.returncode == 0, done.stdout
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    boxes = [row for row in rows if row["table"].startswith("boxes")]
    assert [(row["provider"], row["least_iou"], row["alone"]) for row in boxes] == [("cpu", 1.0, 0)]
    graphs = [row for row in rows if row["table"] == "CUDA graphs"]
    assert [(row["frames_differ"], row["off_from_plain"] < 1, row["same_again"]) for row in graphs] == [
        (True, True, True)
    ]
