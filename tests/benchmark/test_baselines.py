"""Other people's trackers through our benchmark."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from experiments.exhibits import folders
from hcft_jax.benchmark import baselines, benchmark, opencv, plan
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import protocols
from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment, OwnVideo
from hcft_jax.util.boxes import to_file
from hcft_jax.util.errors import InputError

DRAWN = Synthetic(frames=24, height=96, width=128, target=(24, 32), motion=20.0)
CONTRIB = hasattr(cv2, "TrackerKCF")


class Still:
    """A GOT-10k tracker that stays where it began."""

    made: list["Still"] = []  # noqa: RUF012

    def __init__(self) -> None:
        Still.made.append(self)

    def init(self, image: Any, box: Any) -> None:
        self.mode, self.size, self.box = image.mode, image.size, box

    def update(self, image: Any) -> Any:
        return self.box


class Failing(Still):
    def update(self, image: Any) -> Any:
        raise RuntimeError("out of\nideas")


class Short(Still):
    def update(self, image: Any) -> Any:
        return [1.0, 2.0]


class Lost(Still):
    def update(self, image: Any) -> Any:
        return np.full(4, np.nan)


@pytest.fixture
def own() -> Iterator[str]:
    """The name of a user's module."""
    Still.made = []
    module = ModuleType("own_trackers")
    vars(module).update(Still=Still, Failing=Failing, Short=Short, Lost=Lost, number=3)
    sys.modules["own_trackers"] = module
    yield "got10k:own_trackers"
    del sys.modules["own_trackers"]


def experiment(method: str, folder: Path, **changes: Any) -> Experiment:
    base = Experiment("x", synthetic=DRAWN, output_dir=str(folder), method=method)
    return replace(base, **changes)


def run(method: str, folder: Path, **changes: Any) -> Any:
    what = experiment(method, folder, **changes)
    return benchmark.run(what, baselines.weights_of([what])[0])


def test_mil_follows_a_drawn_target(tmp_path: Path) -> None:
    outcome = run("opencv:MIL", tmp_path, overlay=True)
    assert not outcome.failed
    assert outcome.rows("ope")["synthetic-0"].scores.dp20 > 0.9
    assert outcome.folder.name.startswith("opencv_MIL-")
    written = {str(p.relative_to(outcome.folder)) for p in outcome.folder.rglob("*.*")}
    assert written == {
        "summary.json",
        "ope/synthetic-0.txt",
        "speed/synthetic-0.json",
        "overlay/synthetic-0.mp4",
        "overlay/synthetic-0.png",
    }
    summary = json.loads((outcome.folder / "summary.json").read_text())
    assert summary["config"] == summary["experiment"]["tracker"] == "opencv:MIL"
    assert summary["weights"]["version"] == f"OpenCV {cv2.__version__}"
    assert folders.settings(outcome.folder) is None  # no row of the paper's ablation


@pytest.mark.parametrize("name", [name for name in opencv.TRACKERS if name != "MIL"])
def test_the_contrib_build_has_the_others(tmp_path: Path, name: str) -> None:
    if not CONTRIB:
        pytest.skip("opencv-contrib-python-headless is not installed (extra contrib)")
    outcome = run(f"opencv:{name}", tmp_path)
    assert not outcome.failed
    # MOSSE gives up at once where it is not sure
    assert outcome.rows("ope")["synthetic-0"].scores.dp20 > (0.2 if name == "MOSSE" else 0.9)


@pytest.mark.parametrize("name", ["KCF", "MOSSE"])
def test_without_the_contrib_build_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for held in ("TrackerKCF", "legacy"):
        monkeypatch.delattr(cv2, held, raising=False)
    with pytest.raises(InputError, match=f"has no {name}; it takes pip install .*contrib"):
        baselines.find(f"opencv:{name}")


def test_a_got10k_tracker_sees_what_the_toolkit_would_give_it(own: str, tmp_path: Path) -> None:
    outcome = run(f"{own}:Still", tmp_path)
    (still,) = Still.made
    truth = synthetic(DRAWN).boxes[0]
    assert (still.mode, still.size) == ("RGB", (128, 96))
    np.testing.assert_array_equal(still.box, to_file(truth))  # as in OTB's files
    boxes = np.loadtxt(outcome.folder / "ope" / "synthetic-0.txt", delimiter=",")
    np.testing.assert_allclose(boxes, np.broadcast_to(still.box, (24, 4)), atol=1e-3)


def test_all_protocols_run_with_a_baseline(own: str, tmp_path: Path) -> None:
    outcome = run(f"{own}:Still", tmp_path, protocols=("ope", "tre", "sre"))
    assert not outcome.failed
    runs = {protocol: outcome.rows(protocol)["synthetic-0"].runs for protocol in ("tre", "sre")}
    starts = protocols.plan("tre", to_file(synthetic(DRAWN).boxes))
    assert runs == {"tre": len(starts), "sre": 12}
    # each start is tracked once, though OPE is TRE's first and short sequences repeat some
    assert len(Still.made) == len({run.first for run in starts}) + 12
    again = run(f"{own}:Still", tmp_path, protocols=("ope", "tre", "sre"))
    assert again.rows("sre")["synthetic-0"].scores == outcome.rows("sre")["synthetic-0"].scores


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Failing", r"frame 2: .*Failing failed \(RuntimeError: out of ideas\)"),
        ("Short", r"it gave \[1\.0, 2\.0\], want four"),
        ("Lost", "want four finite numbers"),
    ],
)
def test_a_tracker_that_fails_is_one_line(
    own: str, tmp_path: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run(f"{own}:{name}", tmp_path)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert "synthetic-0" in line
    assert re.search(message, outcome.failed["synthetic-0"])
    assert (outcome.folder / "partial" / "synthetic-0.txt").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kcf", "no 'kcf'; there are hcft, opencv:MIL"),
        ("opencv", "of OpenCV's trackers there are MIL"),
        ("opencv:kcf", "of OpenCV's trackers there are MIL, KCF"),
        ("got10k:own_trackers", "write got10k:module:Class"),
        ("got10k:nowhere_at_all:X", "cannot import nowhere_at_all"),
        ("got10k:own_trackers:number", "no class number with init and update"),
        ("got10k:own_trackers:Missing", "no class Missing with init and update"),
    ],
)
def test_an_unknown_tracker_is_an_error(own: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        baselines.find(name)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"eta": 0.5}, "eta"), ({"weights": "random"}, "weights"), ({"responses": True}, "responses")],
)
def test_what_only_our_tracker_has_is_refused(changes: dict[str, Any], field: str) -> None:
    experiment = settings.derive("otb", method="opencv:MIL", **changes)
    with pytest.raises(InputError, match=f"{field}: the tracker opencv:MIL has none; leave it out"):
        experiment.validate()


def test_results_of_another_version_are_not_taken(tmp_path: Path) -> None:
    mil = experiment("opencv:MIL", tmp_path)
    one = baselines.Baseline("opencv:MIL", "OpenCV 4.10.0", lambda: opencv.Apart("MIL")).weights
    other = baselines.find("opencv:MIL").weights
    assert mil.folder(one.digest) != mil.folder(other.digest)
    assert mil.folder(one.digest) != experiment("opencv:KCF", tmp_path).folder(one.digest)


def test_where_opencv_has_lost_the_target_the_last_box_stands() -> None:
    answers = [(True, (1, 2, 3, 4)), (False, (0, 0, 0, 0)), (False, (0, 0, 0, 0))]

    class Scripted:  # OpenCV's
        def init(self, image: Any, box: Any) -> None:
            assert box == (5, 6, 7, 9)

        def update(self, image: Any) -> Any:
            return answers.pop(0)

    tracker = opencv.Here(Scripted())
    image = np.zeros((20, 20, 3), np.uint8)
    tracker.init(image, np.array([5.4, 6.0, 7.0, 8.6]))
    assert [np.asarray(tracker.update(image)).tolist() for _ in range(3)] == [[1, 2, 3, 4]] * 3


def test_the_targets_of_a_baseline_are_those_of_ours(tmp_path: Path) -> None:
    names = [target.name for target in plan.find(experiment("opencv:MIL", tmp_path))]
    assert names == ["synthetic-0"]


def track(name: str, frames: int = 12) -> list[list[float]]:
    drawn = replace(DRAWN, frames=frames)
    baseline = baselines.find(name)
    return [t.boxes[0].tolist() for t in baselines.track_sequence(baseline, synthetic(drawn))]


@pytest.mark.parametrize("name", ["opencv:MIL", "opencv:TLD"])
def test_a_track_does_not_depend_on_the_tracks_before(name: str) -> None:
    if name != "opencv:MIL" and not CONTRIB:
        pytest.skip("opencv-contrib-python-headless is not installed (extra contrib)")
    assert track(name) == track(name)


def test_a_process_that_dies_is_an_error() -> None:
    tracker = opencv.Apart("MIL")
    with pytest.raises(InputError, match=r"its process ended \(status -"):
        tracker.update(synthetic(DRAWN).frames.read(0))  # without init, OpenCV crashes
    tracker.close()


def test_an_error_of_opencv_is_one_line() -> None:
    tracker = opencv.Apart("MIL")
    image, box = synthetic(DRAWN).frames.read(0), synthetic(DRAWN).boxes[0]
    with pytest.raises(InputError, match=r"OpenCV.* error: ") as raised:
        tracker.init(image, np.array([500.0, 500.0, 10.0, 10.0]))
    assert "\n" not in str(raised.value)
    tracker.init(image, box)  # it goes on
    assert np.asarray(tracker.update(image)).shape == (4,)
    tracker.close()
    assert tracker._process.returncode == 0


def test_ones_own_video_is_for_our_tracker() -> None:
    with pytest.raises(InputError, match="video: the tracker opencv:MIL runs on benchmarks only"):
        Experiment("video", own=OwnVideo("x.mp4", box=(1, 1, 9, 9)), method="opencv:MIL").validate()


def test_a_tracker_in_the_working_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the command ``hcft``, whose path has no such folder."""
    code = "class Mine:\n    init = update = print\n"
    (tmp_path / "tracker_of_this_folder.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    name = "got10k:tracker_of_this_folder:Mine"
    assert baselines.find(name).name == name
