"""Limits of control groups: recorded and hostile trees of both versions, and groups of this kernel where it lets us."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agent.core.cgroup import CgroupLimits, ControlGroups, parse_pressure, read_limits

GIB = 2**30
V2_MOUNT = "30 23 0:26 {top} {at} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = (
    "33 29 0:28 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 29 0:29 {top} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def tree(root: Path, group: str, mounts: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": group, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v2(root, files, *, path="/system.slice/vedette.service", top="/", at="/sys/fs/cgroup"):
    base = at.replace("\\040", " ").lstrip("/")
    named = {f"{base}/{name}": text for name, text in files.items()}
    return tree(root, f"0::{path}\n", V2_MOUNT.format(top=top, at=at), named)


def v1(root, files, *, path="/system.slice/vedette.service", top="/"):
    group = f"12:memory:{path}\n7:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::/\n"
    named = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    return tree(root, group, V1_MOUNT.format(top=top), named)


def limits(root) -> CgroupLimits:
    return read_limits(root, memory_total=8 * GIB)


def test_a_units_limits_in_version_2(tmp_path):
    unit = "system.slice/vedette.service"
    root = v2(
        tmp_path,
        {
            f"{unit}/memory.max": f"{2 * GIB}\n",
            f"{unit}/memory.current": f"{2 * GIB - 1024}\n",
            f"{unit}/memory.stat": f"anon 5\nfile 9\ninactive_file {GIB - 1024}\n",
            f"{unit}/memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
            f"{unit}/cpu.max": "150000 100000\n",
            f"{unit}/memory.pressure": "some avg10=12.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=3.00 avg60=0.00\n",
            "system.slice/memory.max": "max\n",
        },
    )
    assert limits(root) == CgroupLimits(
        memory_bytes=2 * GIB, memory_used_ratio=0.5, memory_free_bytes=GIB, cpus=1.5, oom_kills=2
    )
    assert ControlGroups(root).pressure("memory") == {"some": 0.125, "full": 0.03}


def test_a_process_that_is_moved_is_found_in_its_new_group_by_the_next_sample(tmp_path):
    root = v2(tmp_path, {"one/memory.max": f"{GIB}\n", "two/memory.max": f"{2 * GIB}\n"}, path="/one")
    assert limits(root).memory_bytes == GIB
    (root / "proc/self/cgroup").write_text("0::/two\n")
    assert limits(root).memory_bytes == 2 * GIB


def test_a_units_limits_in_version_1(tmp_path):
    unit = "system.slice/vedette.service"
    root = v1(
        tmp_path,
        {
            f"memory/{unit}/memory.limit_in_bytes": f"{GIB}\n",
            f"memory/{unit}/memory.usage_in_bytes": f"{GIB}\n",
            f"memory/{unit}/memory.stat": f"cache 1\ntotal_inactive_file {GIB // 4}\n",
            f"memory/{unit}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            f"cpu/{unit}/cpu.cfs_quota_us": "-1\n",
            f"cpu/{unit}/cpu.cfs_period_us": "100000\n",
            "cpu/system.slice/cpu.cfs_quota_us": "50000\n",
            "cpu/system.slice/cpu.cfs_period_us": "100000\n",
        },
    )
    assert limits(root) == CgroupLimits(
        memory_bytes=GIB, memory_used_ratio=0.75, memory_free_bytes=GIB // 4, cpus=0.5, oom_kills=7
    )


def test_the_smallest_of_nested_limits_counts_and_the_fullest_group(tmp_path):
    root = v2(
        tmp_path,
        {
            "a/memory.max": f"{4 * GIB}",
            "a/memory.current": f"{3 * GIB}",
            "a/b/memory.max": "max",
            "a/b/c/memory.max": f"{2 * GIB}",
            "a/b/c/memory.current": f"{GIB // 2}",
            "a/cpu.max": "max 100000",
            "a/b/cpu.max": "100000 100000",
            "a/b/c/cpu.max": "300000 100000",
        },
        path="/a/b/c",
    )
    found = limits(root)
    assert (found.memory_bytes, found.cpus) == (2 * GIB, 1.0)
    assert (found.memory_used_ratio, found.memory_free_bytes) == (0.75, GIB)


@pytest.mark.parametrize(
    ("path", "top"),
    [
        ("/", "/"),  # a namespace of its own
        ("/docker/0c3e", "/docker/0c3e"),  # the path of the host, and only the own group is mounted
        ("/docker/0c3e", "/../0c3e"),
        ("/../other", "/"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_in_a_container_the_group_is_at_the_mount_point(tmp_path, path, top, version):
    if version == 2:
        root = v2(tmp_path, {"memory.max": f"{GIB}"}, path=path, top=top)
    else:
        root = v1(tmp_path, {"memory/memory.limit_in_bytes": f"{GIB}"}, path=path, top=top)
    assert limits(root).memory_bytes == GIB


def test_a_mount_point_with_a_space(tmp_path):
    root = v2(tmp_path, {"memory.max": "4096"}, path="/", at="/run/c\\040groups")
    assert limits(root).memory_bytes == 4096


HOSTILE = [
    "",
    "max",
    "-1",
    "nan",
    "1e9",
    "²",
    "9" * 5000,
    "max max",
    "0",
    "0 0",
    "5 0",
    "\x00",
    "some avg10=999999 x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_files_without_a_number_are_no_limit(tmp_path, text):
    names = ("memory.max", "memory.current", "memory.stat", "memory.events", "cpu.max", "cpu.pressure")
    root = v2(tmp_path, dict.fromkeys(names, text), path="/")
    assert limits(root) == CgroupLimits()
    assert ControlGroups(root).pressure("cpu") == {}


@pytest.mark.parametrize(
    "mounts", ["", "garbage\n", " - cgroup2 \n", "1 2 3 / /x rw - cgroup2\n", "\xff - \n"]
)
def test_no_control_groups(tmp_path, mounts):
    assert limits(tree(tmp_path, "0::/a\n", mounts, {})) == CgroupLimits()
    assert limits(tree(tmp_path, "garbage\n:::\n\n", mounts, {})) == CgroupLimits()
    assert limits(tmp_path / "nothing") == CgroupLimits()


def test_a_folder_in_place_of_a_file_and_binary_ones(tmp_path):
    root = v2(tmp_path, {"memory.max/inner": "", "cpu.max": "1"}, path="/")
    (root / "sys/fs/cgroup/cpu.max").write_bytes(b"\xff\xfe\x00")
    assert limits(root) == CgroupLimits()


def test_a_limit_beyond_the_memory_of_the_box_is_none(tmp_path):
    assert limits(v2(tmp_path, {"memory.max": f"{9 * GIB}"}, path="/")).memory_bytes is None


def test_pressure_of_the_box_where_the_group_has_none(tmp_path):
    files = {"proc/pressure/io": "some avg10=100.00 avg60=1.00\nfull avg10=0.50 avg60=1.00\n"}
    root = tree(tmp_path, "0::/\n", V2_MOUNT.format(top="/", at="/sys/fs/cgroup"), files)
    assert ControlGroups(root).pressure("io") == {"some": 1.0, "full": 0.005}
    assert parse_pressure("full avg10=120.00 avg60") == {"full": 1.0}


CHILD = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
from agent.core.cgroup import read_limits
if os.fork() == 0:
    open("/proc/self/oom_score_adj", "w").write("1000")
    bytes(b"x") * (256 << 20)
    os._exit(0)
os.wait()
found = read_limits()
print(found.memory_bytes, found.oom_kills, found.memory_used_ratio is not None)
"""


@pytest.fixture
def group():
    """A real group below the own one, in which 64 MiB are allowed."""
    from agent.core.cgroup import _groups, _text

    version, groups = _groups(
        "memory", Path("/"), _text(Path("/proc/self/cgroup")), _text(Path("/proc/self/mountinfo"))
    )
    made = groups[0] / f"vedette-test-{os.getpid()}" if groups else Path("/nothing/here")
    try:
        made.mkdir()
        (made / ("memory.max" if version == "cgroup2" else "memory.limit_in_bytes")).write_text(str(64 << 20))
        with suppress(OSError):
            (made / ("memory.swap.max" if version == "cgroup2" else "memory.swappiness")).write_text("0")
    except OSError as error:
        with suppress(OSError):
            made.rmdir()
        pytest.skip(f"this kernel lets us make no group: {error}")
    yield made
    made.rmdir()


def test_a_real_group_limits_and_counts_the_kill_of_a_child(group):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(group)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == [str(64 << 20), "1", "True"], done.stderr
