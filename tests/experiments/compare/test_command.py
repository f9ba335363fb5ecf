import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from experiments.compare import published
from hcft_jax.data import datasets, otb
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.evaluation import results
from hcft_jax.util.errors import InputError

TRUTH = np.array([[10.0 + 5 * t, 8, 20, 16] for t in range(6)])  # 0-based


class Blank:
    def __len__(self) -> int:
        return len(TRUTH)

    def read(self, index: int) -> Frame:
        return np.zeros((48, 64, 3), np.uint8)

    def label(self, index: int) -> str:
        return f"frame {index}"


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Two targets; a result off by (3, 4) px from frame 2 on, a published track that is right."""
    for name in ("One", "Two"):
        otb.write(Sequence(name, Blank(), TRUTH, 1), tmp_path / "data")
        off = TRUTH + np.array([3, 4, 0, 0]) * (np.arange(6) > 0)[:, None]
        results.write_boxes(tmp_path / "mine" / "ope" / f"{name}.txt", off)
        cell = np.empty((1, 1), object)
        cell[0, 0] = {"res": TRUTH + np.array([1, 1, 0, 0]), "type": "rect", "startFrame": 1.0}
        (tmp_path / "mat").mkdir(exist_ok=True)
        scipy.io.savemat(tmp_path / "mat" / f"{name}_CF2.mat", {"results": cell})
    places = {"results": "mine", "data_dir": "data", "published": "mat"}
    return {flag: str(tmp_path / folder) for flag, folder in places.items()}


def run(places: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    arguments = [f"--{flag}={value}" for flag, value in places.items()]
    return subprocess.run(
        [sys.executable, "-m", "experiments.compare", *arguments, *more],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )


def test_both_tables_are_printed(places: dict[str, str]) -> None:
    done = run(places, "--differences=0")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    measures, distances = [row for row in rows if row and row[0] == "mean"]
    # 17 x 12 of 2 x 320 - 204 pixels are common: IoU 0.468, so only frame 1 is a success.
    assert measures[1:5] == ["12", "100.00", "16.67", f"{(10 + 10 / 6) / 21:.4f}"]
    assert measures[5:] == ["100.00", "100.00", f"{20 / 21:.4f}"]
    assert distances[1:] == ["5.00", "5.00"]
    assert [row[0] for row in rows if len(row) > 2].count("Two") == 2


def test_results_are_compared_without_anything_published(
    places: dict[str, str], tmp_path: Path
) -> None:
    others = TRUTH + np.array([40, 0, 0, 0]) * np.array([0, 0, 1, 1, 0, 0])[:, None]
    for name, boxes in (("One", TRUTH), ("Two", others)):
        results.write_boxes(tmp_path / "theirs" / "ope" / f"{name}.txt", boxes)
    del places["published"]
    places["results"] += f",{tmp_path / 'theirs'}"
    done = run(places, "--differences=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Distance of the centres" not in done.stdout
    (row,) = [line for line in done.stdout.split("differ most")[1].splitlines() if "Two" in line]
    # (37, -4) px apart: the boxes of 20 x 16 px do not meet
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["Two", "3", "0.000", "37.2"]


def test_the_most_different_frames_are_not_neighbours() -> None:
    truth = np.tile([1.0, 1, 20, 20], (40, 1))
    other = truth + np.linspace(0, 30, 40)[:, None] * np.array([1, 0, 0, 0])
    of = {"a": truth, "b": other}
    found = published.most_different({"One": (of, truth)}, ("a", "b"), 9)
    assert [frame for _, frame, *_ in found] == [40, 30, 20, 10]
    assert published.most_different({"One": (of, truth)}, ("a", "a"), 9) == []


@pytest.mark.parametrize("flag", ["results", "data_dir"])
def test_a_missing_flag_or_folder_is_one_line_and_status_2(
    flag: str, places: dict[str, str], tmp_path: Path
) -> None:
    for value in [None, str(tmp_path / "absent")]:
        given = {f: v for f, v in places.items() if f != flag} | ({flag: value} if value else {})
        done = run(given)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert (value or f"--{flag}") in done.stderr


def load(
    places: dict[str, str], name: str, trackers: tuple[str, ...] = ("CF2",)
) -> published.Tracks:
    (target,) = datasets.find(places["data_dir"], names=[name])
    return published.load(target, [Path(places["results"])], Path(places["published"]), trackers)[0]


def test_a_result_of_another_length_is_named(places: dict[str, str]) -> None:
    results.write_boxes(Path(places["results"], "ope", "One.txt"), TRUTH[:4])
    with pytest.raises(InputError, match=r"One\.txt: 4 boxes for 6"):
        load(places, "One")


def test_an_unknown_tracker_is_named(places: dict[str, str]) -> None:
    with pytest.raises(InputError, match="Two_MIL"):
        load(places, "Two", ("MIL",))


def test_folders_with_other_sequences_are_refused(places: dict[str, str], tmp_path: Path) -> None:
    results.write_boxes(tmp_path / "other" / "ope" / "One.txt", TRUTH)
    with pytest.raises(InputError, match=r"other.*Two"):
        published.targets_of([Path(places["results"]), tmp_path / "other"])


def test_folders_of_one_name_are_told_apart_by_path() -> None:
    folders = [Path("a/run"), Path("b/run"), Path("b/last")]
    names = [published.label(folder, folders) for folder in folders]
    assert names == [str(Path("a/run")), str(Path("b/run")), "last"]


def test_distances_are_those_of_the_centres() -> None:
    wider = TRUTH + np.array([3, 4, 0, 0]) + np.array([-1, -1, 2, 2])
    np.testing.assert_array_equal(published.distances(TRUTH, wider), np.full(6, 5.0))
