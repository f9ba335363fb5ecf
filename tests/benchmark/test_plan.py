import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.benchmark import plan
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import results
from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.sweeps import product
from hcft_jax.weights.native import Weights

WEIGHTS = Weights({}, {}, "digest")
DRAWN = Synthetic(frames=22, height=64, width=80, target=(20, 20), motion=12.0)


@pytest.fixture
def experiments(tmp_path: Path) -> list[Experiment]:
    """Two settings on two drawn sequences."""
    for seed, frames in ((0, 22), (1, 24)):
        drawn = Synthetic(**(vars(DRAWN) | {"seed": seed, "frames": frames}))
        otb.write(synthetic(drawn), tmp_path / "data")
    places = {"data_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "out")}
    return product(Experiment("x", TrackerConfig(), **places), eta=(0.01, 0.02))  # type: ignore[arg-type]


def make(experiments: list[Experiment]) -> tuple[list[plan.Outcome], list[plan.Task]]:
    return plan.make([(experiment, WEIGHTS) for experiment in experiments])


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=60), st.integers(1, 9))
def test_every_task_is_in_one_shard_and_shards_are_alike(frames: list[int], count: int) -> None:
    tasks: list[Any] = [SimpleNamespace(frames=n) for n in frames]
    parts = [plan.shard(tasks, i, count) for i in range(1, count + 1)]
    assert [task for part in parts for task in part] == tasks  # neighbours stay together
    for part in parts:
        total = sum(task.frames for task in part)
        assert abs(total - sum(frames) / count) <= max(frames)


def test_tasks_of_one_start_are_neighbours(experiments: list[Experiment]) -> None:
    _, tasks = make(experiments)
    assert [(t.unit.title, t.experiment.tracker.eta) for t in tasks] == [
        ("synthetic-0", 0.01),
        ("synthetic-0", 0.02),
        ("synthetic-1", 0.01),
        ("synthetic-1", 0.02),
    ]
    first, second, third, _ = tasks
    assert first.executable == second.executable != third.executable
    assert [t.unit.title for t in plan.longest_first(tasks)][::2] == ["synthetic-1", "synthetic-0"]


def test_data_are_read_once_for_all_settings(
    experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    original = otb.load

    def load(name: str, where: Path) -> Sequence:
        loaded.append(name)
        return original(name, where)

    monkeypatch.setattr(otb, "load", load)
    _, tasks = make(experiments)
    assert len(loaded) == 2
    assert len({id(task.unit.whole) for task in tasks}) == 2


def test_settings_on_other_data_have_their_own(experiments: list[Experiment]) -> None:
    drawn = Experiment("drawn", TrackerConfig(), synthetic=DRAWN)
    outcomes, tasks = make([*experiments, drawn])
    assert [len([t for t in tasks if t.outcome is o]) for o in outcomes] == [2, 2, 1]


def test_runs_that_are_done_are_scored_and_not_listed(experiments: list[Experiment]) -> None:
    outcomes, tasks = make(experiments)
    unit = tasks[1].unit
    results.write_json(unit.speed, {"frames": 21, "seconds": 1.0, "compile_seconds": 0.0})
    results.write_boxes(unit.result, unit.whole.boxes)
    assert plan.missing(tasks) == [tasks[0], *tasks[2:]]
    assert list(outcomes[1].judged) == [unit.result]
    scores = outcomes[1].rows("ope")["synthetic-0"].scores
    assert scores is not None
    assert scores.dp20 == 1.0


def test_a_damaged_result_fails_its_group_alone(
    experiments: list[Experiment], capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes, tasks = make(experiments)
    unit = tasks[0].unit
    unit.result.parent.mkdir(parents=True)
    unit.result.write_text("1,2,3\n")
    assert plan.missing(tasks) == tasks[1:]
    assert tasks[0].failed
    assert not tasks[1].failed
    assert list(outcomes[0].failed) == ["synthetic-0"]
    assert capfd.readouterr().err.startswith("error: x: synthetic-0: ")


def test_equal_runs_know_each_other(experiments: list[Experiment]) -> None:
    both = [dataclasses.replace(e, protocols=("ope", "tre")) for e in experiments]
    _, tasks = make(both)
    mine = [t for t in tasks if t.group.sequence == "synthetic-0" and t.outcome is tasks[0].outcome]
    assert np.unique([len(t.others) for t in mine if t.unit.run.first == 0]).tolist() == [7]
    for task in mine:
        for other in task.others:
            assert other.folder == task.unit.folder
            assert other.run.first == task.unit.run.first
