"""The command line as a user meets it: results, resuming, and one line for each mistake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from hcft_jax import main
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import options, settings
from hcft_jax.util import download
from hcft_jax.weights import lookup, native

QUICK = [
    "--compilation_cache=none",
    "--layers=conv1_2",
    "--gamma=1",
    "--input_size=32",
    "--weights=random",
]
DRAWN = Synthetic(frames=9, height=64, width=80, target=(20, 20), motion=12.0)


@dataclass
class Run:
    status: int
    out: str
    err: str
    folder: Path

    @property
    def summary(self) -> Any:
        (path,) = self.folder.glob("*/summary.json")
        return json.loads(path.read_text())

    def written(self, pattern: str) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"*/{pattern}"))

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Command = Callable[..., Run]

pytestmark = pytest.mark.usefixtures("random_weights_drawn_once")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two drawn sequences in the OTB layout."""
    for seed in (0, 1):
        otb.write(synthetic(Synthetic(**(vars(DRAWN) | {"seed": seed}))), tmp_path / "data")
    return tmp_path / "data"


def in_process(folder: Path, capfd: pytest.CaptureFixture[str], *usual: str) -> Command:
    """The main command on its usual flags, which leaves its results in a folder."""

    def command(*arguments: str) -> Run:
        with flagsaver.flagsaver():
            first = [*usual, f"--output_dir={folder}", *QUICK]
            rest = flags.FLAGS(["main", *first, *arguments])
            status = main.main(rest)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Run(status, out, err, folder)

    return command


@pytest.fixture
def run(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process; later flags win over the usual ones."""

    return in_process(tmp_path / "out", capfd, "--config=otb", f"--data_dir={data}")


def test_a_run_leaves_boxes_scores_and_a_table(run: Command) -> None:
    done = run()
    assert done.status == 0
    assert done.written("ope/*") == ["synthetic-0.txt", "synthetic-1.txt"]
    (path, _) = sorted(done.folder.glob("*/ope/*.txt"))
    assert path.parent.parent.name.startswith("otb,layers=conv1_2,gamma=1,input_size=32-")
    lines = path.read_text().splitlines()
    assert len(lines) == 9
    assert all(len(number.split(".")[1]) == 4 for number in lines[3].split(","))
    assert set(done.summary["sequences"]) == {"synthetic-0", "synthetic-1"}
    assert done.summary["mean"]["dp20"] == 1.0
    assert "DP@20" in done.out
    *_, mean, where = done.out.splitlines()
    assert mean.startswith("mean")
    assert str(path.parent.parent) in where


def test_files_are_one_based(run: Command, data: Path) -> None:
    first = run().folder.glob("*/ope/synthetic-0.txt")
    truth = np.loadtxt(data / "synthetic-0" / "groundtruth_rect.txt", delimiter=",")
    tracked = np.loadtxt(next(first), delimiter=",")
    np.testing.assert_allclose(tracked[0], truth[0], atol=0.5)
    assert np.abs(tracked - truth)[:, :2].max() < 5


def test_finished_sequences_are_kept(run: Command) -> None:
    first = run("--sequences=synthetic-0")
    (path,) = first.folder.glob("*/ope/synthetic-0.txt")
    stamp = path.stat().st_mtime_ns
    second = run()
    assert path.stat().st_mtime_ns == stamp
    assert "synthetic-0: kept" in second.err
    assert set(second.summary["sequences"]) == {"synthetic-0", "synthetic-1"}


def test_an_interrupted_run_gives_what_an_uninterrupted_one_does(
    run: Command, tmp_path: Path
) -> None:
    run("--sequences=synthetic-1")
    resumed = {path.name: path.read_bytes() for path in run().folder.glob("*/ope/*")}
    shutil.rmtree(tmp_path / "out")
    whole = {path.name: path.read_bytes() for path in run().folder.glob("*/ope/*")}
    assert resumed == whole


def test_another_setting_goes_to_another_folder(run: Command) -> None:
    run("--sequences=synthetic-0")
    done = run("--sequences=synthetic-0", "--eta=0.2")
    assert len(list(done.folder.iterdir())) == 2


def test_equal_settings_find_the_results_whatever_the_configuration_is_called(
    run: Command,
) -> None:
    first = run("--config=hcft")
    (path,) = first.folder.glob("*/ope/synthetic-0.txt")
    stamp = path.stat().st_mtime_ns
    done = run("--config=otb")
    assert f"note: equal settings have results already: {path.parents[1]}\n" in done.err
    assert "synthetic-0: kept" in done.err
    assert done.status == 0
    assert str(path.parents[1]) in done.out
    assert path.stat().st_mtime_ns == stamp
    assert list(done.folder.iterdir()) == [path.parents[1]]
    assert "note: equal" not in run("--config=hcft").err


def test_overlay_leaves_a_video_and_a_plot(run: Command) -> None:
    done = run("--sequences=synthetic-0", "--overlay")
    assert done.written("overlay/*") == ["synthetic-0.mp4", "synthetic-0.png"]
    video = cv2.VideoCapture(str(next(done.folder.glob("*/overlay/*.mp4"))))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 9
    without_panel = 80 * 6  # frames below 360 px are enlarged
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) > without_panel


def test_protocols_say_what_was_chosen(run: Command) -> None:
    done = run("--sequences=synthetic-0", "--protocols=ope,sre", "--sre_unscale")
    assert done.status == 0
    assert done.written("sre/synthetic-0/left.txt") == ["left.txt"]
    assert "SRE: sizes divided by the factor of the start" in done.out
    assert done.summary["protocols"]["sre"]["mean"]["runs"] == 12


def test_the_backbone_is_a_flag(run: Command, tmp_path: Path) -> None:
    alexnet = ["--sequences=synthetic-0", "--backbone=alexnet", "--layers=conv2", "--input_size=67"]
    done = run(*alexnet)
    assert done.status == 0
    assert done.summary["weights"]["backbone"] == "alexnet"
    native.save(tmp_path / "vgg.npz", lookup.random())
    done = run(*alexnet, f"--weights={tmp_path / 'vgg.npz'}")
    (line,) = done.error_lines
    assert "vgg.npz: weights of VGG-19, but the backbone is AlexNet" in line
    assert done.status == 2


def test_the_hypercolumn_and_all_rules_run(run: Command) -> None:
    two = ["--sequences=synthetic-0", "--layers=conv2_1,conv1_2", "--gamma=1,0.5"]
    for more in (["--hypercolumn"], ["--update=cf2", "--search=sum"], ["--dft=fft"]):
        assert run(*two, *more).status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=otbb"], "--config: no 'otbb' (did you mean otb"),
        (["--data_dir=nowhere"], "nowhere: no such folder"),
        (["--data_dir=."], "no sequence there"),
        (["--sequences=synthetic-3"], "no sequence 'synthetic-3' (did you mean synthetic-"),
        (["--layers=conv6_1"], "--layers: no layer 'conv6_1'"),
        (["--backbone=alexnet"], "--layers: no layer 'conv1_2' in AlexNet (did you mean conv"),
        (["--backbone=alex"], "--backbone: no 'alex'; there are vgg19, alexnet"),
        (["--input_size=1"], "--input_size: 1 leaves a map of one cell of conv1_2"),
        (["--gamma=1,0.5"], "--gamma: 2 values for 1 layers"),
        (["--gamma=one"], "--gamma: 'one' is not a list of numbers"),
        (["--lambda=-1"], "--lambda: -1.0"),
        (["--eta=1.1"], "--eta: 1.1"),
        (["--weights=nowhere.npz"], "nowhere.npz"),
        (["--output_dir=/proc/nowhere"], "/proc/nowhere"),
        (["stray"], "'stray'"),
        (["--protocols=ope,tra"], "--protocols: no 'tra' (did you mean tre?)"),
        (["--protocols=ope,ope"], "--protocols: name at least one, and each once"),
        (["--protocols="], "--protocols: name at least one, and each once"),
        (["--annotations=nowhere"], "--annotations: no folder nowhere/initOmit"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    run: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    done = run(*arguments)
    assert done.status == 2
    (line,) = done.error_lines
    assert message in line
    assert not done.written("ope/*")


def _truth(folder: Path, text: str) -> None:
    (folder / "groundtruth_rect.txt").write_text(text)


def _truncate(folder: Path) -> None:
    path = folder / "img" / "0005.png"
    path.write_bytes(path.read_bytes()[:900])


def _enlarge(folder: Path) -> None:
    cv2.imwrite(str(folder / "img" / "0005.png"), np.zeros((70, 80, 3), np.uint8))


ROWS = "10,10,20,20\n" * 9

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "shorter truth": (lambda f: _truth(f, ROWS[12:]), "8 boxes, but 9 frames"),
    "longer truth": (lambda f: _truth(f, ROWS + ROWS[:12]), "10 boxes, but 9 frames"),
    "NaN": (lambda f: _truth(f, ROWS.replace("20\n", "nan\n", 1)), "line 1: 'nan'"),
    "text": (lambda f: _truth(f, ROWS + "lost,1,2,3\n"), "line 10: 'lost'"),
    "3 columns": (lambda f: _truth(f, "1,2,3\n" * 9), "line 1: 3 columns"),
    "8 columns": (lambda f: _truth(f, "1,2,3,4,5,6,7,8\n" * 9), "line 1: 8 columns"),
    "empty frame": (lambda f: (f / "img" / "0005.png").write_bytes(b""), "0005.png: the file is"),
    "truncated frame": (_truncate, "0005.png"),
    "foreign frame": (lambda f: (f / "img" / "0005.png").write_text("<html>"), "0005.png: not a"),
    "other size": (_enlarge, "0005.png: 80 x 70 pixels, but the first"),
    "no frames": (lambda f: shutil.rmtree(f / "img"), "img: no frames"),
    "empty box": (lambda f: _truth(f, "10,10,0,20\n" + ROWS[12:]), "is empty"),
    "box outside": (lambda f: _truth(f, "100,10,20,20\n" + ROWS[12:]), "outside the image"),
    "box too large": (lambda f: _truth(f, "1,1,90,20\n" + ROWS[12:]), "larger than the image"),
    "box too thin": (lambda f: _truth(f, "10,10,1,20\n" + ROWS[12:]), "too thin to track"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_sequence_is_named_and_the_others_finish(
    run: Command, data: Path, damage: str
) -> None:
    break_it, message = DAMAGES[damage]
    break_it(data / "synthetic-0")
    done = run()
    assert done.status == 1
    line, last = done.error_lines
    assert line.startswith("error: synthetic-0: ")
    assert message in line
    assert last == "error: 1 failed: synthetic-0"
    assert done.written("ope/*") == ["synthetic-1.txt"]
    assert message in done.summary["failed"]["synthetic-0"]


def test_boxes_up_to_a_bad_frame_are_kept_until_it_is_mended(run: Command, data: Path) -> None:
    path = data / "synthetic-0" / "img" / "0005.png"
    whole = path.read_bytes()
    path.write_bytes(b"")
    (partial,) = run().folder.glob("*/partial/synthetic-0.txt")
    lines = partial.read_text()
    assert len(lines.splitlines()) == 4
    path.write_bytes(whole)
    done = run()
    assert done.status == 0
    assert not partial.exists()
    (result,) = done.folder.glob("*/ope/synthetic-0.txt")
    assert result.read_text().startswith(lines)


def test_results_of_another_data_set_are_not_taken_for_these(run: Command, data: Path) -> None:
    run("--sequences=synthetic-0")
    _truth(data / "synthetic-0", ROWS)
    done = run("--sequences=synthetic-0")
    assert done.status == 1
    assert "holds another sequence of this name" in done.err


def test_a_half_written_result_is_named(run: Command) -> None:
    done = run("--sequences=synthetic-0")
    (path,) = done.folder.glob("*/ope/*.txt")
    path.write_text(path.read_text()[:-30])
    assert run("--sequences=synthetic-0").error_lines[0].startswith("error: synthetic-0: ")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has no weights, and must not look for a network."""

    def network(*_: Any, **__: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.delenv("HCFT_WEIGHTS", raising=False)
    monkeypatch.setenv("HCFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "download", network)


@pytest.mark.usefixtures("bare")
def test_the_demo_runs_on_a_bare_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with flagsaver.flagsaver():
        arguments = ["--config=demo", f"--output_dir={tmp_path / 'out'}", QUICK[0]]
        assert main.main(flags.FLAGS(["main", *arguments])) == 0
    notes = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "no VGG-19 weights here, so this is --config=lite0's tracker" in notes[0]
    assert "hcft_jax.weights fetch" in notes[0]
    done = Run(0, "", "", tmp_path / "out")
    assert list(done.folder.glob("demo,lite0-*"))
    assert done.written("overlay/*.mp4") == ["synthetic-1.mp4"]
    assert done.summary["mean"]["dp20"] > 0.9


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("arguments", "backbone"),
    [
        (["--config=video"], "efficientnet_lite0"),
        (["--config=demo"], "efficientnet_lite0"),
        (["--config=demo", "--weights=random"], "vgg19"),
        (["--config=demo", "--backbone=alexnet", "--layers=conv5", "--gamma=1"], "alexnet"),
        (["--config=otb"], "vgg19"),
    ],
)
def test_another_backbone_takes_over_only_where_none_was_asked_for(
    arguments: list[str], backbone: str
) -> None:
    with flagsaver.flagsaver():
        own = ["--video=v.mp4", "--box=1,2,3,4"] if arguments == ["--config=video"] else []
        flags.FLAGS(["main", *arguments, *own])
        assert options.experiment().tracker.backbone == backbone


@pytest.mark.usefixtures("bare")
def test_a_flag_stays_where_another_tracker_takes_over() -> None:
    with flagsaver.flagsaver():
        flags.FLAGS(["main", "--config=demo", "--lambda=3", "--eta=0.02"])
        config = options.experiment().tracker
    assert (config.lambda_, config.eta) == (3.0, 0.02)
    assert config.layers == settings.load("lite0").tracker.layers


@pytest.mark.usefixtures("bare")
def test_weights_that_are_at_hand_are_used(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "vgg19.npz").touch()
    with flagsaver.flagsaver():
        flags.FLAGS(["main", "--config=demo"])
        assert options.experiment().tracker.backbone == "vgg19"


@pytest.fixture
def process(data: Path, tmp_path: Path) -> list[str]:
    flags_ = [f"--data_dir={data}", f"--output_dir={tmp_path / 'out'}", *QUICK]
    return [sys.executable, "-m", "hcft_jax.main", "--config=otb", *flags_]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_finished_and_says_how_to_resume(
    process: list[str], data: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    long = Synthetic(**(vars(DRAWN) | {"seed": 2, "frames": 3000}))
    otb.write(synthetic(long), data, image_format="jpg")
    with subprocess.Popen(process, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("out/*/ope/synthetic-1.txt")):
            assert time.monotonic() < deadline
            assert p.poll() is None
            time.sleep(0.05)
        os.kill(p.pid, number)
        _, err = p.communicate(timeout=60)
    assert p.returncode == status
    assert "Traceback" not in err
    assert "the same command continues" in err
    done = Run(status, "", err, tmp_path / "out")
    assert set(done.summary["sequences"]) == {"synthetic-0", "synthetic-1"}
    assert done.written("ope/.*") == []  # nothing half-written


def test_an_unknown_flag_is_named(process: list[str]) -> None:
    done = subprocess.run([*process, "--etta=1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: --etta: unknown flag; did you mean --eta?\n"


def test_another_tracker_has_its_own_folder_and_none_of_our_flags(data: Path, run: Command) -> None:
    refused = run("--tracker=opencv:MIL")  # the usual flags name layers
    assert refused.status == 2
    assert refused.error_lines == ["error: --layers: the tracker opencv:MIL has none; leave it out"]
    with flagsaver.flagsaver():
        where = [f"--data_dir={data}", f"--output_dir={refused.folder}", "--dataset=otb"]
        status = main.main(flags.FLAGS(["main", "--tracker=opencv:MIL", *where]))
    assert status == 0
    (folder,) = refused.folder.iterdir()
    assert folder.name.startswith("opencv_MIL-")
    assert sorted(p.name for p in folder.glob("ope/*")) == ["synthetic-0.txt", "synthetic-1.txt"]


def test_a_data_set_that_is_not_there_is_one_line(run: Command) -> None:
    done = run("--dataset=got10k")
    assert done.status == 2
    (line,) = done.error_lines
    assert "no sequence of got10k there, expected [train|val|test/]list.txt" in line
