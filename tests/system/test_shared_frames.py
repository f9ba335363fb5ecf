"""Each file of a sequence is decoded once, whatever is tracked on it and in whichever way."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hcft_jax.benchmark import benchmark, execute, plan
from hcft_jax.benchmark.outcome import Outcome
from hcft_jax.benchmark.plan import Planned
from hcft_jax.benchmark.progress import Line
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import frames, otb
from hcft_jax.data.kept import Memory
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.sweeps import product
from hcft_jax.weights import lookup, native

SMALL = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)
FRAMES = 22  # TRE starts in the first three of them
DRAWN = Synthetic(frames=FRAMES, height=64, width=80, target=(20, 20), motion=12.0)
FRAME = 64 * 80 * 3  # bytes
GIB = 2**30

Start = Callable[..., Outcome]


@pytest.fixture(scope="module")
def drawn() -> native.Weights:
    return lookup.random()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image file has been opened, by its name."""
    counts: Counter[str] = Counter()
    original = frames.read_image

    def read_image(path: Path, *more: Any, **how: Any) -> Any:
        counts[path.name] += 1
        return original(path, *more, **how)

    monkeypatch.setattr(frames, "read_image", read_image)
    return counts


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Memory]]:
    """The memory of each plan; all of them are given back in the end."""
    made: list[Memory] = []

    def memory(limit: int) -> Memory:
        made.append(Memory(limit))
        return made[-1]

    monkeypatch.setattr(plan, "Memory", memory)
    yield made
    assert [memory.used for memory in made] == [0] * len(made)


@pytest.fixture
def start(tmp_path: Path, drawn: native.Weights, memories: list[Memory]) -> Start:
    """Runs an experiment on a drawn sequence in the OTB layout."""
    otb.write(synthetic(DRAWN), tmp_path / "data")

    def run(*protocols: str, to: str = "out", **changes: Any) -> Outcome:
        data, out = str(tmp_path / "data"), str(tmp_path / to)
        given = Experiment("x", SMALL, data_dir=data, output_dir=out, protocols=protocols)
        return benchmark.run(dataclasses.replace(given, **changes), drawn)

    return run


def results(outcome: Outcome) -> dict[str, bytes]:
    """Every box file by its path below the results."""
    files = outcome.folder.glob("*/**/*.txt")
    return {str(path.relative_to(outcome.folder)): path.read_bytes() for path in files}


ALL = ("ope", "tre", "sre")


@pytest.mark.parametrize("lanes", [1, 4])
def test_each_file_is_opened_once(start: Start, opened: Counter[str], lanes: int) -> None:
    assert not start("sre", lanes=lanes).failed
    assert len(opened) == FRAMES
    assert set(opened.values()) == {1}


def test_runs_with_more_files_share_frames(start: Start, opened: Counter[str]) -> None:
    assert not start("ope", "tre", lanes=4, responses=True).failed
    assert set(opened.values()) == {1}


def test_a_baseline_shares_frames(
    tmp_path: Path, opened: Counter[str], memories: list[Memory]
) -> None:
    otb.write(synthetic(DRAWN), tmp_path / "data")
    data, out = str(tmp_path / "data"), str(tmp_path / "out")
    experiment = Experiment("x", data_dir=data, output_dir=out, method="opencv:MIL")
    assert not benchmark.run(dataclasses.replace(experiment, protocols=("tre",))).failed
    assert set(opened.values()) == {1}
    assert len(memories) == 1


@pytest.mark.parametrize("lanes", [1, 4])
def test_little_memory_gives_the_same_files(
    start: Start, opened: Counter[str], memories: list[Memory], lanes: int
) -> None:
    much = start(*ALL, to="much", lanes=lanes)
    assert not much.failed
    assert opened == dict.fromkeys(opened, 1)
    for frames_kept in (0, 7):
        opened.clear()
        to, memory = str(frames_kept), (frames_kept + 0.5) * FRAME / GIB if frames_kept else 0.0
        little = start(*ALL, to=to, lanes=lanes, frame_memory=memory)
        assert results(little) == results(much)
        assert len(results(little)) > 2 * 12
        assert little.folder.name == much.folder.name
        counts = sorted(opened.values())  # which ones are kept depends on the threads
        assert counts[:frames_kept] == [1] * frames_kept
        if lanes == 1:
            # One pass, two more starts, twelve boxes; or less, where JAX lets go of a frame late,
            # so that the next run gets it from there.
            assert all(10 < count <= 15 for count in counts[frames_kept:])


def test_one_pass_keeps_nothing(
    start: Start, memories: list[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    original = Memory.take

    def take(self: Memory, size: int) -> bool:
        taken.append(size)
        return original(self, size)

    monkeypatch.setattr(Memory, "take", take)
    start("ope", to="one")
    assert taken == []
    start("ope", to="lanes", lanes=2)
    assert taken == [FRAME]  # the size of the first frame is looked up


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_broken_frame_ends_its_runs_with_the_same_message(
    start: Start, tmp_path: Path, lanes: int
) -> None:
    bad = tmp_path / "data" / "synthetic-0" / "img" / "0009.png"
    bad.write_bytes(b"")
    some = {"lanes": lanes}
    kept, without = start(*ALL, to="kept", **some), start(*ALL, to="not", frame_memory=0.0, **some)
    assert kept.failed == without.failed
    assert set(kept.failed) == {f"synthetic-0{end}" for end in ("", " tre", " sre")}
    assert all(f"{bad}: the file is empty" in text for text in kept.failed.values())
    assert results(kept) == results(without)


def test_a_frame_of_another_size_ends_runs_with_its_name(start: Start, tmp_path: Path) -> None:
    bad = tmp_path / "data" / "synthetic-0" / "img" / "0009.png"
    Image.new("RGB", (50, 40)).save(bad)
    for lanes in (1, 4):
        failed = start("sre", "ope", to=str(lanes), lanes=lanes).failed
        assert set(failed) == {"synthetic-0", "synthetic-0 sre"}
        for text in failed.values():
            assert f"{bad}: 50 x 40 pixels, but the first frame" in text


@pytest.mark.parametrize("together", [True, False])
def test_settings_of_a_sweep_share_frames(
    tmp_path: Path,
    drawn: native.Weights,
    opened: Counter[str],
    memories: list[Memory],
    together: bool,
) -> None:
    otb.write(synthetic(DRAWN), tmp_path / "data")
    places = {"data_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "out")}
    changed: dict[str, Any] = {"eta": (0.01, 0.02)} if together else {"input_size": (32, 40)}
    settings = product(Experiment("x", SMALL, **places), **changed)  # type: ignore[arg-type]
    planned = plan.make(settings, [drawn] * 2)
    assert all(done.error is None for done in worked(planned))
    assert len(opened) == FRAMES
    assert set(opened.values()) == {1}


def test_frames_are_forgotten_after_the_last_run_on_them(
    tmp_path: Path, drawn: native.Weights, memories: list[Memory]
) -> None:
    for seed in (0, 1):
        otb.write(synthetic(Synthetic(**(vars(DRAWN) | {"seed": seed}))), tmp_path / "data")
    places = {"data_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "out")}
    given = Experiment("x", SMALL, protocols=("ope", "tre"), **places)  # type: ignore[arg-type]
    planned = plan.make([given], [drawn])
    (memory,) = memories
    used = [memory.used for _ in worked(planned)]
    # the first frame is read for one run only
    of_one = [(FRAMES - 1) * FRAME] * (len(used) // 2 - 1) + [0]
    assert used == of_one * 2


def worked(planned: Planned) -> Iterator[Any]:
    """Do all tasks of a plan."""
    with Line("x", planned.tasks) as line:
        for done in execute.work(planned, planned.tasks, line):
            planned.settle(done)
            yield done
