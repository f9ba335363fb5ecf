"""Runs in lanes: the files of one after the other, whatever fails beside them."""

import contextlib
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from hcft_jax.benchmark import benchmark, execute, plan, record
from hcft_jax.benchmark.outcome import Outcome, Row
from hcft_jax.benchmark.progress import Meter
from hcft_jax.benchmark.tasks import Task
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import otb
from hcft_jax.data.frames import read_image
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run import batch
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from tests.decoding import as_files, faked

SMALL = TrackerConfig(layers=("conv2_1", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
FRAMES = (25, 9, 30, 12)
SEEN: dict[str, Any] = {"frames": 8, "height": 64, "width": 80, "target": (20, 20), "motion": 9.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Targets and images of different sizes."""
    folder = tmp_path_factory.mktemp("data")
    for seed, frames in enumerate(FRAMES):
        drawn = Synthetic(
            seed=seed,
            frames=frames,
            height=64 + 8 * seed,
            width=80 - 4 * seed,
            target=(20.0 - 3 * seed, 14.0 + 6 * seed),
            motion=12.0,
        )
        otb.write(synthetic(drawn), folder)
    return folder


def run(data: Path, to: Path, *protocols: str, **changes: Any) -> Outcome:
    given: dict[str, Any] = {"tracker": SMALL, "data_dir": str(data), "output_dir": str(to)}
    experiment = Experiment("x", **(given | changes), protocols=protocols or ("ope",))
    return benchmark.run(experiment, lookup.random())


def dp20(row: Row) -> float:
    assert row.scores is not None
    return row.scores.dp20


def boxes(outcome: Outcome) -> dict[str, bytes]:
    files = outcome.folder.glob("*/**/*.txt")
    return {str(f.relative_to(outcome.folder)): f.read_bytes() for f in files}


@pytest.mark.parametrize("lanes", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 64))])
def test_lanes_leave_the_files_of_one_after_the_other(
    data: Path, tmp_path: Path, lanes: int
) -> None:
    alone = run(data, tmp_path / "alone")
    laned = run(data, tmp_path / "laned", lanes=lanes)
    assert len(boxes(alone)) == len(FRAMES)
    assert boxes(laned) == boxes(alone)
    assert laned.folder.name == alone.folder.name
    assert laned.rows("ope").keys() == alone.rows("ope").keys()


@pytest.mark.slow
def test_all_protocols_go_through_lanes(data: Path, tmp_path: Path) -> None:
    some = {"sequences": ("synthetic-0", "synthetic-2")}
    alone = run(data, tmp_path / "alone", "ope", "tre", "sre", **some)
    laned = run(data, tmp_path / "laned", "ope", "tre", "sre", **some, lanes=8)
    assert len(boxes(alone)) > 2 * 13
    assert boxes(laned) == boxes(alone)


def test_lanes_compile_two_executables_a_bucket(data: Path, tmp_path: Path) -> None:
    before = compilation.total()
    run(data, tmp_path, lanes=2)
    first = (compilation.total() - before).executables
    assert first <= 2 * execute.BUCKETS
    before = compilation.total()
    run(data, tmp_path / "again", lanes=2)
    assert (compilation.total() - before).executables == 0


def test_what_is_finished_is_not_tracked_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(data, tmp_path, lanes=2)
    (whole.folder / "ope" / "synthetic-1.txt").unlink()
    taken: list[str] = []
    original = batch._begin

    def begin(index: int, sequence: Any, *rest: Any) -> Any:
        taken.append(sequence.name)
        return original(index, sequence, *rest)

    monkeypatch.setattr(batch, "_begin", begin)
    again = run(data, tmp_path, lanes=2)
    assert taken == ["synthetic-1"]
    assert len(again.rows("ope")) == len(FRAMES)


def test_lanes_track_other_frames_of_the_same_names_anew(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    before = boxes(run(tmp_path / "data", tmp_path / "out", lanes=2))
    image = sorted((tmp_path / "data" / "synthetic-1" / "img").iterdir())[3]
    pixels = read_image(image)
    Image.fromarray(np.roll(pixels, 9, axis=1)).save(image)
    again = boxes(run(tmp_path / "data", tmp_path / "out", lanes=2))
    assert {name for name in again if again[name] != before[name]} == {"ope/synthetic-1.txt"}
    assert again == boxes(run(tmp_path / "data", tmp_path / "fresh", lanes=2))


@pytest.mark.parametrize("way", ["alone", "lanes", "side by side"])
def test_ctrl_c_keeps_the_boxes_of_the_runs_under_way(
    data: Path,
    tmp_path: Path,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: dict[str, Any] = {"data_dir": str(data), "output_dir": str(tmp_path)}
    settings = [SMALL, dataclasses.replace(SMALL, eta=0.02)][: 1 + (way == "side by side")]
    experiments = [Experiment("x", t, **given, lanes=1 + (way == "lanes")) for t in settings]

    def track() -> list[Path]:
        planned = plan.make(experiments, [lookup.random()] * len(experiments))
        todo = planned.missing()
        with contextlib.closing(execute.work(planned, todo, Meter(todo))) as work:
            for done in work:
                planned.settle(done)
        return [outcome.folder for outcome in planned.outcomes]

    original = Meter.advance

    def advance(self: Meter, task: Task, frames: int) -> None:
        original(self, task, frames)
        if self.tracked > 12 * len(experiments):
            raise KeyboardInterrupt

    monkeypatch.setattr(Meter, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        track()
    monkeypatch.setattr(Meter, "advance", original)
    kept = {path: path.read_text().splitlines() for path in tmp_path.glob("*/partial/*.txt")}
    assert len(kept) == {"alone": 1, "lanes": 2, "side by side": 2}[way]
    said = capsys.readouterr().err
    assert all(f"{len(rows)} of " in said and str(path) in said for path, rows in kept.items())
    for folder in track():
        assert not (folder / "partial").exists()
    for path, rows in kept.items():
        whole = (path.parents[1] / "ope" / path.name).read_text().splitlines()
        assert 1 <= len(rows) < len(whole)
        assert rows == whole[: len(rows)]


@pytest.mark.parametrize("frame", [0, 4])
def test_a_frame_that_cannot_be_read_fails_one_sequence(
    data: Path, tmp_path: Path, frame: int, capfd: pytest.CaptureFixture[str]
) -> None:
    otb.write(synthetic(Synthetic(**SEEN)), tmp_path / "in")
    for name in ("synthetic-1", "synthetic-2"):
        (tmp_path / "in" / name).symlink_to(data / name)
    bad = sorted((tmp_path / "in" / "synthetic-0" / "img").iterdir())[frame]
    bad.write_bytes(bad.read_bytes()[:200])
    outcome = run(tmp_path / "in", tmp_path / "out", lanes=2)
    assert list(outcome.failed) == ["synthetic-0"]
    assert set(outcome.rows("ope")) == {"synthetic-1", "synthetic-2"}
    assert capfd.readouterr().err.count(str(bad)) == 1
    partial = outcome.folder / "partial" / "synthetic-0.txt"
    assert partial.exists() == (frame > 0)
    if frame:
        assert len(partial.read_text().splitlines()) == frame


def test_a_device_that_fails_is_one_line_a_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\ndetails")

    monkeypatch.setattr(batch, "programs", fails)
    outcome = run(data, tmp_path, lanes=2)
    assert len(outcome.failed) == len(FRAMES)
    assert all("the device failed: RESOURCE_EXHAUSTED" in text for text in outcome.failed.values())


def test_runs_that_leave_more_than_boxes_go_one_by_one(data: Path, tmp_path: Path) -> None:
    one = {"sequences": ("synthetic-1",)}
    outcome = run(data, tmp_path, lanes=2, responses=True, **one)
    assert (outcome.folder / "responses" / "synthetic-1.npz").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes: 0 must be at least 1"),
        ({"lanes": 2, "tracker": dataclasses.replace(SMALL, dft="fft")}, "lanes: with dft=fft"),
    ],
)
def test_settings_that_lanes_cannot_have(
    data: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(data, tmp_path, **changes)


@pytest.mark.parametrize("lanes", [1, 2])
def test_one_grid_for_all_tracks_them(data: Path, tmp_path: Path, lanes: int) -> None:
    outcome = run(data, tmp_path, lanes=lanes, tracker=dataclasses.replace(SMALL, grid=16))
    assert np.mean([dp20(row) for row in outcome.rows("ope").values()]) > 0.9


def test_bfloat16_tracks_a_drawn_sequence(data: Path, tmp_path: Path) -> None:
    rounded = dataclasses.replace(SMALL, precision="bfloat16")
    outcome = run(data, tmp_path, lanes=2, tracker=rounded, sequences=("synthetic-0",))
    assert dp20(outcome.rows("ope")["synthetic-0"]) == 1.0


@pytest.fixture
def jpegs(tmp_path: Path) -> Path:
    """A sequence of JPEG files."""
    drawn = synthetic(Synthetic(**(SEEN | {"frames": 22})))
    folder = tmp_path / "jpegs" / drawn.name
    folder.mkdir(parents=True)
    as_files(drawn, folder / "img", "jpg")
    rows = (",".join(str(value) for value in (*(box[:2] + 1), *box[2:])) for box in drawn.boxes)
    (folder / "groundtruth_rect.txt").write_text("\n".join(rows))
    return folder.parent


def test_a_decoder_of_the_device_has_results_of_its_own(
    jpegs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = run(jpegs, tmp_path / "out", "ope", "tre", lanes=4)
    with faked(monkeypatch) as batches:
        device = run(jpegs, tmp_path / "out", "ope", "tre", lanes=4, decode="device")
    assert sum(batches) >= 22
    assert not device.failed
    assert len(boxes(device)) > 2
    assert boxes(device) == boxes(host)  # as the fake's pixels are the host's
    assert device.folder.name.startswith("x,decode=device-")
    assert host.folder.name.startswith("x-")


def test_no_run_is_left_to_the_hosts_decoder(
    jpegs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TRE's first run equals OPE's, but there is no result to copy when that has failed."""
    bad = sorted(jpegs.glob("*/img/*"))[20]
    bad.write_bytes(bad.read_bytes()[:200])

    def alone(*_: Any) -> Any:
        raise AssertionError("tracked by itself")

    monkeypatch.setattr(record, "track", alone)
    with faked(monkeypatch):
        outcome = run(jpegs, tmp_path / "out", "ope", "tre", lanes=4, decode="device")
    assert set(outcome.failed) == {"synthetic-0", "synthetic-0 tre"}
    assert all(str(bad) in text for text in outcome.failed.values())


def test_a_machine_without_a_gpu_cannot_decode_there(jpegs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^decode: device needs an NVIDIA GPU"):
        run(jpegs, tmp_path / "out", lanes=4, decode="device")
