import dataclasses
import pickle
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


def make(experiments: list[Experiment]) -> plan.Planned:
    return plan.make(experiments, [WEIGHTS] * len(experiments))


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=60), st.integers(1, 9))
def test_every_task_is_in_one_shard_and_shards_are_alike(frames: list[int], count: int) -> None:
    tasks: list[Any] = [SimpleNamespace(frames=n) for n in frames]
    parts = [plan.shard(tasks, i, count) for i in range(1, count + 1)]
    assert [task for part in parts for task in part] == tasks  # neighbours stay together
    for part in parts:
        total = sum(task.frames for task in part)
        assert abs(total - sum(frames) / count) <= max(frames)


def test_tasks_of_one_start_are_neighbours(experiments: list[Experiment]) -> None:
    planned = make(experiments)
    assert [(t.name, t.experiment.tracker.eta) for t in planned.tasks] == [
        ("synthetic-0", 0.01),
        ("synthetic-0", 0.02),
        ("synthetic-1", 0.01),
        ("synthetic-1", 0.02),
    ]
    first, second, third, _ = planned.tasks
    assert first.executable == second.executable != third.executable
    longest = planned.longest_first().tasks
    assert [task.name for task in longest][::2] == ["synthetic-1", "synthetic-0"]


def test_data_are_read_once_for_all_settings(
    experiments: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    original = otb.load

    def load(name: str, where: Path) -> Sequence:
        loaded.append(name)
        return original(name, where)

    monkeypatch.setattr(otb, "load", load)
    planned = make(experiments)
    assert len(loaded) == 2
    assert len({id(task.whole) for task in planned.tasks}) == 2


def test_settings_on_other_data_have_their_own(experiments: list[Experiment]) -> None:
    drawn = Experiment("drawn", TrackerConfig(), synthetic=DRAWN)
    planned = make([*experiments, drawn])
    assert [len(outcome.tasks) for outcome in planned.outcomes] == [2, 2, 1]
    assert [task.number for task in planned.tasks] == [0, 1, 0, 1, 2]


def test_runs_that_are_done_are_scored_and_not_listed(experiments: list[Experiment]) -> None:
    planned = make(experiments)
    tasks, outcomes = planned.tasks, planned.outcomes
    task = tasks[1]
    results.write_json(task.speed, {"frames": 21, "seconds": 1.0, "compile_seconds": 0.0})
    results.write_boxes(task.result, task.whole.boxes)
    assert planned.missing() == [tasks[0], *tasks[2:]]
    assert list(outcomes[1].judged) == [task.result]
    scores = outcomes[1].rows("ope")["synthetic-0"].scores
    assert scores is not None
    assert scores.dp20 == 1.0


def test_a_damaged_result_fails_its_group_alone(
    experiments: list[Experiment], capfd: pytest.CaptureFixture[str]
) -> None:
    planned = make(experiments)
    task, *others = planned.tasks
    task.result.parent.mkdir(parents=True)
    task.result.write_text("1,2,3\n")
    assert planned.missing() == others
    assert planned.failed(task)
    assert not planned.failed(others[0])
    assert list(planned.outcomes[0].failed) == ["synthetic-0"]
    assert capfd.readouterr().err.startswith("error: x: synthetic-0: ")


def test_equal_runs_know_each_other(experiments: list[Experiment]) -> None:
    both = [dataclasses.replace(e, protocols=("ope", "tre")) for e in experiments]
    tasks = make(both).outcomes[0].tasks
    mine = [task for task in tasks if task.whole.name == "synthetic-0"]
    assert np.unique([len(t.equal) for t in mine if t.run.first == 0]).tolist() == [7]
    for task in mine:
        for other in task.others():
            assert other.folder == task.folder
            assert other.run.first == task.run.first
            assert other.result != task.result


@pytest.mark.parametrize(
    ("set_ones", "available", "expected"),
    [
        ((None, None), 1000, 250),
        ((None, None), None, 2**30),
        ((None, 2.0), 1000, 2**31),
        ((0.5, 2.0), 1000, 2**29),
        ((0.0, None), 1000, 0),
    ],
)
def test_frames_may_take_what_is_set_or_a_quarter_of_what_is_there(
    experiments: list[Experiment],
    monkeypatch: pytest.MonkeyPatch,
    set_ones: tuple[float | None, ...],
    available: int | None,
    expected: int,
) -> None:
    monkeypatch.setattr(plan, "available_memory", lambda: available)
    pairs = zip(experiments, set_ones, strict=True)
    planned = make([dataclasses.replace(e, frame_memory=gib) for e, gib in pairs])
    assert planned.memory.limit == expected


def test_a_task_is_plain_data_that_other_machines_can_be_sent(
    experiments: list[Experiment],
) -> None:
    task = make(experiments).tasks[0]
    task.whole.frames.read(0)
    sent = pickle.dumps(task)
    assert len(sent) < 20_000  # no parameters of a network
    again = pickle.loads(sent)
    assert (again.title, again.result, again.executable) == (
        *(task.title, task.result, task.executable),
    )
    assert np.array_equal(again.given.boxes, task.given.boxes)
