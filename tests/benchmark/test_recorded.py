"""A result is taken for done where it is of these frames, this box, these settings and method."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hcft_jax.benchmark import benchmark, execute, record, tasks
from hcft_jax.benchmark.outcome import Outcome
from hcft_jax.benchmark.tasks import Task
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run.identity import UNKNOWN
from hcft_jax.util import interrupts
from hcft_jax.util.errors import StorageError

NAME = "synthetic-0"
TRACKER = "got10k:tests.benchmark.follower:Follower"

Start = Callable[..., Outcome]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in (0, 1):
        drawn = Synthetic(seed=seed, frames=22, height=40, width=48, target=(12, 12), motion=8.0)
        otb.write(synthetic(drawn), tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are tracked."""
    found: list[str] = []
    original = record.track

    def track(task: Task, params: Any) -> Iterator[int]:
        found.append(task.name)
        return original(task, params)

    monkeypatch.setattr(record, "track", track)
    return found


@pytest.fixture
def start(data: Path, tmp_path: Path, tracked: list[str]) -> Start:
    def run(*protocols: str, to: str = "out", **changes: Any) -> Outcome:
        tracked.clear()
        return benchmark.run(
            Experiment(
                "x",
                method=TRACKER,
                data_dir=str(data),
                output_dir=str(tmp_path / to),
                protocols=protocols or ("ope",),
                **changes,
            )
        )

    return run


def blacken(data: Path, *numbers: int) -> None:
    for number in numbers:
        path = data / NAME / "img" / f"{number:04d}.png"
        with Image.open(path) as image:
            size = image.size
        Image.new("RGB", size).save(path)


def boxes(outcome: Outcome) -> dict[str, bytes]:
    files = [*outcome.folder.glob("ope/*"), *outcome.folder.glob("?re/**/*.txt")]
    return {str(file.relative_to(outcome.folder)): file.read_bytes() for file in files}


def summary(outcome: Outcome) -> Any:
    return json.loads((outcome.folder / "summary.json").read_text())


def test_other_frames_of_the_same_names_are_tracked_anew(
    start: Start, data: Path, tracked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = boxes(start())
    blacken(data, 2, 3, 4)
    capsys.readouterr()
    again = start()
    assert tracked == [NAME]
    assert "note: 1 result is tracked anew (other frames): synthetic-0\n" in capsys.readouterr().err
    assert boxes(again) == boxes(start(to="fresh")) != before
    start()
    assert tracked == []


def test_runs_of_all_protocols_follow_their_own_frames(
    start: Start, data: Path, tracked: list[str]
) -> None:
    start("ope", "tre", "sre")
    blacken(data, 2)  # TRE starts in the frames 1, 2 and 3
    again = start("ope", "tre", "sre")
    assert len(tracked) == 1 + 1 + 12  # equal runs are copied
    assert f"{NAME} tre/14" not in tracked
    assert boxes(again) == boxes(start("ope", "tre", "sre", to="fresh"))


def test_a_copy_of_the_data_is_the_same_data(
    start: Start, data: Path, tracked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    shutil.copytree(data, data.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(data)
    data.with_name("copy").rename(data)
    start()
    assert tracked == []
    monkeypatch.setattr("hcft_jax.data.contents.Contents.digest", None)  # it has been noted
    start()
    assert tracked == []


def test_another_version_of_the_method_is_tracked_anew(
    start: Start, tracked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "METHOD", TRACKER)  # as if it were ours, which has versions
    start()
    start()
    assert tracked == []
    monkeypatch.setattr(tasks, "METHOD_VERSION", tasks.METHOD_VERSION + 1)
    start()
    assert tracked == [NAME, "synthetic-1"]


def test_results_from_before_there_was_a_record_are_kept_and_nobody_claims_them(
    start: Start, tracked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = start()
    for path in first.folder.glob("speed/*.json"):
        speed = json.loads(path.read_text())
        old = {name: speed[name] for name in ("frames", "seconds", "compile_seconds")}
        path.write_text(json.dumps(old))
    capsys.readouterr()
    again = start()
    assert tracked == []
    (note,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("note: ")]
    assert note.startswith("note: 2 results are kept (no record of the frames")
    (maker,) = summary(again)["sequences"][NAME]["made"]
    assert set(maker.values()) == {UNKNOWN}
    assert summary(again)["sequences"][NAME]["fps"] > 0


def test_each_result_keeps_who_made_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    (maker,) = summary(start())["sequences"][NAME]["made"]
    later = maker | {"hcft_jax": "9.9"}
    monkeypatch.setattr(record, "made", lambda: later)
    outcome = start()
    assert summary(outcome)["sequences"][NAME]["made"] == [maker]
    (outcome.folder / "ope" / f"{NAME}.txt").unlink()
    outcome = start()
    assert summary(outcome)["sequences"][NAME]["made"] == [later]
    assert summary(outcome)["mean"]["made"] == [later, maker]


def test_a_kill_between_the_record_and_the_boxes_is_mended(
    start: Start, data: Path, tracked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = start()
    blacken(data, 2)
    path = outcome.folder / "ope" / f"{NAME}.txt"
    old = path.read_bytes()
    fresh = boxes(start())
    path.write_bytes(old)
    assert boxes(start()) == fresh
    assert tracked == [NAME]


def test_the_old_result_stays_until_the_new_one_is_whole(
    start: Start, data: Path, tracked: list[str]
) -> None:
    before = boxes(start())
    blacken(data, 2)
    (data / NAME / "img" / "0005.png").write_bytes(b"damaged")
    failed = start()
    assert boxes(failed) == before
    assert NAME in failed.failed
    assert NAME not in failed.rows("ope")  # these are not the scores of these frames


def test_frames_that_change_meanwhile_leave_no_result(
    start: Start, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = record.write

    def write(task: Task, *rest: Any) -> None:
        if task.name == NAME:
            blacken(data, 3)
        original(task, *rest)

    monkeypatch.setattr(record, "write", write)
    outcome = start()
    assert "0003.png: it was changed while this was tracked" in outcome.failed[NAME]
    assert boxes(outcome).keys() == {"ope/synthetic-1.txt"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: [rows[0], *rows[:0:-1]],
        lambda rows: [*rows[:-1], "1e300,1,10,10"],
        lambda rows: [*rows[:-1], "1,1,-10,10"],
        lambda rows: [*rows[:-1], "3,4,10,10"],
    ],
    ids=["swapped", "huge", "negative", "edited"],
)
def test_boxes_that_were_not_written_are_one_line_and_stay(
    start: Start, tracked: list[str], edit: Callable[[list[str]], list[str]]
) -> None:
    path = start().folder / "ope" / f"{NAME}.txt"
    path.write_text("\n".join(edit(path.read_text().splitlines())))
    edited = path.read_bytes()
    outcome = start()
    assert outcome.failed[NAME].startswith(str(path))
    assert path.read_bytes() == edited
    assert tracked == []


@pytest.mark.parametrize("row", ["1e300,1,10,10", "1,1,-10,10", "nan,1,2,3"])
def test_boxes_without_a_record_must_be_in_an_image(
    start: Start, row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = start()
    monkeypatch.setattr(tasks, "METHOD", TRACKER)
    path = outcome.folder / "ope" / f"{NAME}.txt"
    shutil.rmtree(outcome.folder / "speed")
    path.write_text("\n".join([*path.read_text().splitlines()[:-1], row]))
    assert start().failed[NAME].startswith(f"{path}, line 22: ")


def test_other_line_ends_are_no_other_boxes(start: Start, tracked: list[str]) -> None:
    path = start().folder / "ope" / f"{NAME}.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not start().failed
    assert tracked == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "[" * 99999, "9" * 9999),
        *('{"frames": "x"}', '{"frames": 1e999}', '{"frames": 1}'),
        '{"frames": 1, "seconds": NaN, "compile_seconds": 0}',
    ],
)
def test_a_run_with_a_damaged_record_is_tracked_anew(
    start: Start, tracked: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = start()
    before = boxes(outcome)
    (outcome.folder / "speed" / f"{NAME}.json").write_text(text)
    capsys.readouterr()
    assert not start().failed
    assert tracked == [NAME]
    assert "note: 1 result is tracked anew (the record of" in capsys.readouterr().err
    assert boxes(outcome) == before
    start()
    assert tracked == []


def test_an_output_folder_that_is_deleted_meanwhile_is_told_of(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = record.track

    def track(task: Task, params: Any) -> Iterator[int]:
        if task.name != NAME:
            shutil.rmtree(task.folder)
        return original(task, params)

    monkeypatch.setattr(record, "track", track)
    outcome = start()
    assert "it is gone" in outcome.failed[NAME]
    assert set(summary(outcome)["sequences"]) == {"synthetic-1"}
    assert set(summary(outcome)["failed"]) == {NAME}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_ends_the_run(
    start: Start, tracked: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def write(*_: Any) -> None:
        with record.replacing(Path(os.devnull).parent / "shm" / "x"):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(record, "write", write)
    with pytest.raises(StorageError, match=os.strerror(number)):
        start()
    assert tracked == [NAME]


def test_ctrl_c_that_is_swallowed_ends_the_run_at_the_next_frame(
    start: Start, tracked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = record._tracked

    def swallowing(task: Task, params: Any) -> Any:
        monkeypatch.setattr(interrupts, "_received", 2)
        return original(task, params)

    monkeypatch.setattr(record, "_tracked", swallowing)
    with pytest.raises(KeyboardInterrupt):
        start()
    assert tracked == [NAME]


def test_a_device_that_fails_for_ctrl_c_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    task: Any = dataclasses.make_dataclass("Some", ["run"])(None)
    monkeypatch.setattr(interrupts, "_received", 2)
    with pytest.raises(KeyboardInterrupt), execute._naming(task):
        raise jax.errors.JaxRuntimeError("INTERNAL: KeyboardInterrupt")


def test_what_belongs_to_other_boxes_goes_with_them(start: Start, data: Path) -> None:
    outcome = start(overlay=True)
    video = outcome.folder / "overlay" / f"{NAME}.mp4"
    start()
    assert video.exists()
    blacken(data, 2)
    start()
    assert not video.exists()
    assert (outcome.folder / "overlay" / "synthetic-1.mp4").exists()
    start(overlay=True)
    stamp = video.stat().st_mtime_ns
    start(overlay=True)
    assert video.stat().st_mtime_ns == stamp


def test_temporary_files_of_killed_runs_are_removed(start: Start) -> None:
    folder = start().folder
    with record.replacing(folder / "responses" / "a.npz") as temporary:
        with subprocess.Popen(["true"]) as process:
            number = process.pid
        name = temporary.name.replace(f"-{os.getpid()}-", f"-{number}-")
        (folder / "responses" / name).touch()
        start()
        assert [path.name for path in (folder / "responses").iterdir()] == [temporary.name]


def test_ctrl_c_while_the_plot_is_drawn_keeps_all_boxes(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = boxes(start())

    def plot(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "plot_track", plot)
    with pytest.raises(KeyboardInterrupt):
        start(overlay=True, to="other")
    (kept,) = (tmp_path / "other").glob("*/partial/*.txt")
    assert kept.read_bytes() == whole[f"ope/{NAME}.txt"]


def test_a_run_that_ended_between_its_result_and_the_rest_leaves_nothing_partial(
    start: Start, tracked: list[str]
) -> None:
    folder = start().folder
    shutil.copytree(folder / "ope", folder / "partial")
    assert start().failed == {}
    assert tracked == []
    assert not (folder / "partial").exists()


def test_a_record_that_is_deleted_before_the_boxes_are_there_is_written_again(
    start: Start, tracked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = record.replacing

    def replacing(path: Path) -> Any:
        shutil.rmtree(path.parents[1] / "speed")
        return original(path)

    monkeypatch.setattr(record, "replacing", replacing)
    outcome = start(sequences=(NAME,))
    assert not outcome.failed
    assert (outcome.folder / "speed" / f"{NAME}.json").exists()
    start(sequences=(NAME,))
    assert tracked == []


def test_boxes_whose_record_was_deleted_are_gone_as_well(
    start: Start, tracked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = record.track

    def track(task: Task, params: Any) -> Iterator[int]:
        yield from original(task, params)
        shutil.rmtree(task.folder / "speed")

    monkeypatch.setattr(record, "track", track)
    assert "it is gone" in start(sequences=(NAME,)).failed[NAME]
    monkeypatch.setattr(record, "track", original)
    assert not start(sequences=(NAME,)).failed
