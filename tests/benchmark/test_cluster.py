"""Sweeps on a Ray cluster: two nodes on this machine, and a worker that is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hcft_jax.benchmark import cluster
from hcft_jax.util.errors import InputError
from tests.experiments.conftest import TEXT, Command, draw


def task(executable: str, frames: int = 10) -> Any:
    return SimpleNamespace(executable=executable, frames=frames)


@pytest.mark.parametrize(
    ("last", "busy", "expected"),
    [
        (None, [], 0),  # the first
        ("b", [], 1),  # what it has compiled for
        ("z", ["a"], 1),  # the first that nobody has
        ("z", ["a", "b", "c"], 3),  # where most is left
        (None, ["a", "b"], 3),
    ],
)
def test_workers_keep_to_what_they_have_compiled(
    last: str | None, busy: list[str], expected: int
) -> None:
    waiting = [task("a", 30), task("b", 20), task("b", 15), task("c", 40)]
    assert cluster.choose(waiting, last, busy) is waiting[expected]


def nodes(*resources: dict[str, float]) -> Any:
    listed = [{"Alive": True, "Resources": r} for r in resources]
    return SimpleNamespace(nodes=lambda: [*listed, {"Alive": False, "Resources": {"CPU": 99.0}}])


@pytest.mark.parametrize(
    ("machines", "cpus", "count", "taken", "threads"),
    [
        ([{"CPU": 16.0}, {"CPU": 6.0}], None, 5, {"num_gpus": 0, "num_cpus": 4}, 4),
        ([{"CPU": 2.0}, {"CPU": 1.0}], None, 1, {"num_gpus": 0, "num_cpus": 2}, 2),
        ([{"CPU": 16.0}], 3, 5, {"num_gpus": 0, "num_cpus": 3}, 3),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0}], None, 2, {"num_gpus": 1, "num_cpus": 1}, None),
    ],
)
def test_there_is_a_worker_for_each_gpu_or_for_some_cores(
    machines: list[dict[str, float]],
    cpus: int | None,
    count: int,
    taken: dict[str, int],
    threads: int | None,
) -> None:
    assert cluster._workers(nodes(*machines), cpus) == (count, taken, threads)


def test_more_cores_than_a_node_has_are_refused() -> None:
    with pytest.raises(InputError, match="ray_cpus: 8, but the cluster's largest node has 4"):
        cluster._workers(nodes({"CPU": 4.0}, {"CPU": 2.0}), 8)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'hcft_jax\[ray\]'"):
        cluster.connected("local").__enter__()


# Apart from this process, in which warnings are errors: Ray has some.
START = """
import json, sys
from ray.cluster_utils import Cluster
size = {"num_cpus": 1, "object_store_memory": 200_000_000}
started = Cluster(initialize_head=True, head_node_args=size)
started.add_node(**size)
raylets = [p.process.pid for n in started.list_all_nodes() for p in n.all_processes["raylet"]]
print(json.dumps({"address": started.address, "raylets": raylets}), flush=True)
sys.stdin.read()
started.shutdown()
"""


@dataclass
class Nodes:
    """A Ray cluster of two nodes with a core each, on this machine."""

    address: str
    raylets: list[int]  # process ids

    def tracking(self) -> list[int]:
        """The worker processes that are tracking right now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                title = (folder / "cmdline").read_bytes()
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
            if parent in self.raylets and title.startswith(b"ray::Worker.track"):
                found.append(int(folder.name))
        return found


@pytest.fixture
def two_nodes() -> Iterator[Nodes]:
    if sys.platform != "linux":
        pytest.skip("looks for processes in /proc")
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'hcft_jax[ray]'")
    command = [sys.executable, "-c", START]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    patience = {"RAY_worker_register_timeout_seconds": "300"}  # other work may be going on
    with subprocess.Popen(command, **pipes, env=os.environ | patience) as process:
        assert process.stdout is not None
        # Ray prints there as well
        line = next((line for line in process.stdout if line.startswith("{")), None)
        assert line is not None, "the cluster did not start, see the captured stderr"
        yield Nodes(**json.loads(line))
        process.communicate("")


def wait_for(condition: Any, process: Any) -> Any:
    deadline = time.monotonic() + 600
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_duplicates_nothing(
    two_nodes: Nodes, tmp_path: Path
) -> None:
    (tmp_path / "grid.py").write_text(TEXT)
    command = Command(tmp_path, draw(tmp_path / "data", 150, 200))
    assert command(to="whole") == 0
    ray = ["--engine=ray", f"--ray_address={two_nodes.address}", "--ray_cpus=1"]
    with command.start(*ray) as process:
        wait_for(command.boxes, process)
        (victim, *_) = wait_for(two_nodes.tracking, process)
        os.kill(victim, signal.SIGKILL)
        finished = command.boxes()
        stamps = {p: (command.folder / "out" / p).stat().st_mtime_ns for p in finished}
        _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "6/6 done, 0 running, 0 failed" in err
    assert len(finished) < 6
    assert command.boxes() == command.boxes("whole")
    for path, stamp in stamps.items():
        assert (command.folder / "out" / path).stat().st_mtime_ns == stamp
    assert command.table()["protocols"] == command.table("whole")["protocols"]


@pytest.mark.slow
def test_a_run_whose_workers_die_too_often_fails_and_the_others_go_on(
    two_nodes: Nodes, tmp_path: Path
) -> None:
    (tmp_path / "grid.py").write_text(TEXT)
    command = Command(tmp_path, draw(tmp_path / "data", 150))
    ray = ["--engine=ray", f"--ray_address={two_nodes.address}", "--ray_cpus=1", "--max_retries=0"]
    with command.start(*ray) as process:
        (victim, *_) = wait_for(two_nodes.tracking, process)
        os.kill(victim, signal.SIGKILL)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "its worker died 1 times" in err
    assert "2/3 done, 0 running, 1 failed" in err
    assert len(command.boxes()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_workers_and_keeps_what_is_finished(
    two_nodes: Nodes, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    (tmp_path / "grid.py").write_text(TEXT)
    command = Command(tmp_path, draw(tmp_path / "data", 20, 1000))
    ray = ["--engine=ray", f"--ray_address={two_nodes.address}", "--ray_cpus=1"]
    with command.start(*ray) as process:
        wait_for(command.boxes, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=600)
    assert process.returncode == status
    assert "the same command continues" in err
    assert "Traceback" not in err
    assert command.table()["settings"]
    deadline = time.monotonic() + 30
    while two_nodes.tracking():
        assert time.monotonic() < deadline
        time.sleep(0.1)
