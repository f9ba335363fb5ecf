"""The command with --config=video: boxes, a video, and one line for each mistake."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from hcft_jax import main
from hcft_jax.api import Tracker
from hcft_jax.backbones import registry
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets, live, otb
from hcft_jax.data.moments import Moment, Video
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.own_video.box_files import Start
from hcft_jax.own_video.followed import OneTarget, SeveralTargets
from hcft_jax.own_video.video_files import VideoFiles
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import boxes, compilation
from hcft_jax.weights import lookup
from tests import films
from tests.conftest import shared
from tests.system.test_main import QUICK, Command, in_process

DRAWN = Synthetic(frames=12, height=80, width=96, target=(24, 24), motion=20.0)

pytestmark = pytest.mark.usefixtures("random_weights_drawn_once")


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(DRAWN)


@pytest.fixture(scope="module")
def frames(sequence: Sequence) -> list[Frame]:
    return [sequence.frames.read(i) for i in range(len(sequence))]


@pytest.fixture(scope="module")
def box(sequence: Sequence) -> str:
    return ",".join(map(str, sequence.boxes[0]))


@pytest.fixture
def clip(frames: list[Frame], tmp_path: Path) -> Path:
    times = 0.04 * np.arange(len(frames)) ** 1.1  # the frame rate is not constant
    return films.write(tmp_path / "clip.mkv", frames, times=list(times))


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    return in_process(tmp_path / "out", capfd, "--config=video")


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def the(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(f"video*/video/*/{pattern}")
    return path


def numbers(path: Path) -> np.ndarray:
    return np.array([[float(row[k]) for k in "xywh"] for row in table(path)])


def test_a_lossless_video_gives_the_boxes_of_the_benchmark(
    run: Command, clip: Path, sequence: Sequence, box: str, tmp_path: Path
) -> None:
    done = run(f"--video={clip}", f"--box={box}")
    assert done.status == 0, done.err
    own = the(done.folder, "boxes.csv")
    otb.write(sequence, tmp_path / "data")
    with flagsaver.flagsaver():
        out = tmp_path / "benchmark"
        given = ["--config=hcft", f"--data_dir={tmp_path / 'data'}", f"--output_dir={out}", *QUICK]
        assert main.main(flags.FLAGS(["main", *given])) == 0
    (theirs,) = out.glob("*/ope/*.txt")
    np.testing.assert_allclose(
        numbers(own), boxes.from_file(boxes.parse(theirs)), rtol=0, atol=1.5e-4
    )  # both files have four decimals
    assert len(np.unique(numbers(own), axis=0)) > 2


def test_the_table_has_frames_times_scores_and_whether_it_is_lost(
    run: Command, clip: Path, box: str
) -> None:
    done = run(f"--video={clip}", f"--box={box}")
    rows = table(the(done.folder, "boxes.csv"))
    assert list(rows[0]) == ["frame", "time", "x", "y", "w", "h", "score", "lost"]
    assert [int(row["frame"]) for row in rows] == list(range(1, 13))
    np.testing.assert_allclose(
        [float(row["time"]) for row in rows], 0.04 * np.arange(12) ** 1.1, atol=1e-3
    )
    assert rows[0]["score"] == ""
    assert all(float(row["score"]) > 0 for row in rows[1:])
    assert {row["lost"] for row in rows} <= {"0", "1"}


def test_the_overlay_has_the_frames_at_their_times(run: Command, clip: Path, box: str) -> None:
    done = run(f"--video={clip}", f"--box={box}")
    images, times, _ = films.read(the(done.folder, "overlay.mp4"))
    assert images.shape == (12, 400, 480, 3)  # small frames are enlarged
    np.testing.assert_allclose(times, 0.04 * np.arange(12) ** 1.1, atol=1e-3)
    red = (images[..., 0] > images[..., 1] + 60.0) & (images[..., 0] > images[..., 2] + 60.0)
    assert red.any(axis=(1, 2)).all()
    summary = json.loads(the(done.folder, "summary.json").read_text())
    assert (summary["frames"], summary["dropped"]) == (12, 0)


def test_the_layers_view_stands_beside_the_frames(run: Command, clip: Path, box: str) -> None:
    done = run(f"--video={clip}", f"--box={box}", "--layers_view")
    images, _, _ = films.read(the(done.folder, "layers.mp4"))
    panel = images[:, :, 480:].astype(float)
    assert panel.shape[2] > 300  # response map and components of one layer, side by side
    assert panel.std(axis=(1, 2, 3)).min() > 20


def test_a_finished_video_is_not_tracked_twice(run: Command, clip: Path, box: str) -> None:
    first = run(f"--video={clip}", f"--box={box}")
    path = the(first.folder, "boxes.csv")
    stamp = path.stat().st_mtime_ns
    again = run(f"--video={clip}", f"--box={box}")
    assert again.status == 0
    assert "kept, it is there" in again.out
    assert path.stat().st_mtime_ns == stamp
    other = run(f"--video={clip}", f"--box={box}", "--eta=0.5")
    assert "kept" not in other.out
    assert len(list(other.folder.glob("*/video/*/boxes.csv"))) == 2
    moved = run(f"--video={clip}", "--box=32,26,24,24")
    assert len(list(moved.folder.glob("*/video/*/boxes.csv"))) == 3


def test_several_targets_are_tracked_at_once(
    run: Command, clip: Path, box: str, tmp_path: Path
) -> None:
    (tmp_path / "starts.txt").write_text(f"{box}\n10 20 25 15\n")
    done = run(f"--video={clip}", f"--boxes={tmp_path / 'starts.txt'}")
    assert done.status == 0, done.err
    both = [numbers(the(done.folder, f"boxes-{n}.csv")) for n in (1, 2)]
    for start, tracked in zip((box, "10,20,25,15"), both, strict=True):
        alone = run(f"--video={clip}", f"--box={start}", "--nooverlay")
        folder = Path(alone.out.strip().split(": ")[-1])
        assert files(folder) == ["boxes.csv", "summary.json"]
        np.testing.assert_allclose(tracked, numbers(folder / "boxes.csv"), atol=2e-4)


def test_targets_of_other_sizes_compile_nothing(frames: list[Frame]) -> None:
    config = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)
    tracker = Tracker(config, lookup.random())

    def track(box: tuple[float, float, float, float]) -> None:
        both = [Start(box), Start(box[::-1])]
        for targets in (OneTarget(tracker, both[0], False), SeveralTargets(tracker, both)):
            targets.init(frames[0], 1)
            for number, frame in enumerate(frames[1:4], 2):
                targets.update(frame, number)

    track((30, 28, 24, 24))
    before = compilation.total()
    track((22, 30, 33, 19))
    track((40, 25, 15, 31))
    assert (compilation.total() - before).executables == 0


def test_a_folder_of_images_is_a_video(
    run: Command, sequence: Sequence, box: str, clip: Path, tmp_path: Path
) -> None:
    folder = otb.write(sequence, tmp_path / "data")
    film = run(f"--video={clip}", f"--box={box}")
    expected = numbers(the(film.folder, "boxes.csv"))
    done = run(f"--video={folder / 'img'}", f"--box={box}")
    np.testing.assert_array_equal(
        numbers(*done.folder.glob("video*/video/img-*/boxes.csv")), expected
    )


def test_any_configuration_takes_a_video(run: Command, clip: Path, box: str) -> None:
    done = run("--config=cf2", f"--video={clip}", f"--box={box}")
    assert done.status == 0
    (path,) = done.folder.glob("cf2*/video/clip-*/boxes.csv")
    assert not (path.parent / "overlay.mp4").exists()  # this configuration needs --overlay


def test_a_bad_frame_keeps_what_came_before(
    run: Command, sequence: Sequence, box: str, tmp_path: Path
) -> None:
    folder = otb.write(sequence, tmp_path / "data") / "img"
    bad = folder / "0005.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:200])
    broken = run(f"--video={folder}", f"--box={box}")
    assert broken.status == 2
    assert len(broken.error_lines) == 1
    assert "0005.png" in broken.error_lines[0]
    assert files(broken.folder)[0].endswith("partial/boxes.csv")
    assert len(table(the(broken.folder, "partial/boxes.csv"))) == 4
    assert len(films.read(the(broken.folder, "partial/overlay.mp4"))[0]) == 4
    stamp = bad.with_name("0004.png").stat()
    bad.write_bytes(whole)
    os.utime(bad, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    mended = run(f"--video={folder}", f"--box={box}")
    assert mended.status == 0


def test_a_damaged_video_keeps_what_there_is_and_is_not_done(
    run: Command, clip: Path, box: str
) -> None:
    clip.write_bytes(clip.read_bytes()[: -clip.stat().st_size // 3])
    for _ in range(2):  # it is never "kept"
        broken = run(f"--video={clip}", f"--box={box}")
        assert broken.status == 2
        assert broken.error_lines[-1].startswith(f"error: {clip}: the video is damaged: about 1")
        count = len(table(the(broken.folder, "partial/boxes.csv")))
        assert 4 < count < 12
        assert f" {count} decoded, " in broken.error_lines[-1]
        assert len(films.read(the(broken.folder, "partial/overlay.mp4"))[0]) == count
        assert not list(broken.folder.glob("video*/video/*/boxes.csv"))


def test_two_corners_for_a_box_are_noted(run: Command, clip: Path) -> None:
    done = run(f"--video={clip}", "--box=30,28,70,60", "--nooverlay")
    assert done.status == 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("note: ")]
    assert "--box: 70 x 60 px at (30, 28) leaves the image of 96 x 80 px" in line
    assert line.endswith("if these are two corners, the box is 30,28,40,32")


def test_a_live_source_ends_with_ctrl_c_and_keeps_everything(
    run: Command, frames: list[Frame], box: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen() -> Iterator[Moment]:
        for number, frame in enumerate(frames):
            yield Moment(float(number), frame, number + 1)
        raise KeyboardInterrupt

    def camera(source: str) -> Video:
        return Video(source, "camera-0", True, None, None, seen())

    monkeypatch.setattr(live, "camera", camera)
    monkeypatch.setattr(live, "latest", lambda opened, items: items)
    done = run("--video=0", f"--box={box}")
    assert done.status == 0
    assert "0 dropped" in done.out
    rows = table(the(done.folder, "boxes.csv"))
    assert len(rows) == 11  # after the compilation the newest frame replaces the first
    assert len(films.read(the(done.folder, "overlay.mp4"))[0]) == 11
    assert run("--video=0", f"--box={box}").status in (0, 130)


@pytest.mark.parametrize("name", ["x" * 251, "\u00e9" * 126, "clip\udcff"])
@pytest.mark.parametrize("live", [False, True])
def test_a_video_of_any_name_has_a_folder_of_its_own(name: str, live: bool, tmp_path: Path) -> None:
    experiment = settings.derive("video", video="x", box=(1, 2, 3, 4), output_dir=str(tmp_path))
    found = []
    for identity in "ab":
        source = Video("x", name, live, None, None if live else identity, iter(()))
        files = VideoFiles.of(experiment, source, [Start((1.0, 2.0, 3.0, 4.0))], "digest", {})
        assert not files.exist
        files.folder.mkdir(parents=True, exist_ok=live)
        assert not files.exist
        found.append(files.folder)
    assert live or found[0] != found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--video: name a video file, a folder of images, a camera or a URL"),
        (["--video={clip}"], "where is the target? give one of box (x,y,w,h), boxes"),
        (["--video={clip}", "--box=1,2,9,9", "--select"], "give one of box"),
        (["--video={clip}", "--box=1,2,9"], "--box: 1,2,9 is not four numbers"),
        (["--video={clip}", "--box=1,2,9,x"], "--box: '1,2,9,x' is not a list of numbers"),
        (["--video={clip}", "--box=200,2,9,9"], "--box: first box: 9 x 9 px at (200, 2) lies out"),
        (["--video={clip}", "--box=1,2,nan,9"], "--box: first box: [ 1. 2. nan 9.] is not four"),
        (["--video={clip}", "--boxes={rows}"], "rows.txt, line 2: first box: 9 x 9 px at (500, 2)"),
        (["--video={clip}", "--boxes=absent"], "absent: cannot read it"),
        (["--video=absent.mp4", "--box=1,2,9,9"], "absent.mp4: no such file, folder or camera"),
        ([f"--video={'x' * 300}", "--box=1,2,9,9"], "no such file, folder or camera"),
        (["--video={rows}", "--box=1,2,9,9"], "rows.txt: not a video that can be read"),
        (["--video={empty}", "--box=1,2,9,9"], "empty: no image in it"),
        (["--video=99", "--box=1,2,9,9"], "99: no camera that can be opened"),
        (["--video={clip}", "--select"], "--select: there is no screen"),
        (["--video={clip}", "--box=1,2,9,9", "--show"], "--show: there is no screen"),
        (["--video={clip}", "--box=1,2,9,9", "--sequences=Deer"], "leave out data_dir, "),
        (["--config=demo", "--video={clip}", "--box=1,2,9,9"], "leave out data_dir, "),
        (["--video={clip}", "--boxes={rows}", "--layers_view"], "--layers_view: shows one target"),
        (["--video={clip}", "--box=30,20,9,9", "--weights=absent"], "absent"),
        (
            ["--video={clip}", "--box=1,2,9,9", "--tracker=opencv:MIL"],
            "--video: the tracker opencv:MIL",
        ),
    ],
)
def test_a_bad_call_is_one_line(
    arguments: list[str],
    message: str,
    run: Command,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    (tmp_path / "rows.txt").write_text("1,2,9,9\n500,2,9,9\n")
    (tmp_path / "empty").mkdir()
    known: dict[str, Any] = {n: tmp_path / n for n in ("empty",)}
    known |= {"rows": tmp_path / "rows.txt", "clip": clip}
    done = run(*(argument.format(**known) for argument in arguments))
    assert done.status == 2
    assert len(done.error_lines) == 1
    assert message in done.error_lines[0]
    assert not done.folder.exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_keeps_what_it_has(
    frames: list[Frame], box: str, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    clip = films.write(tmp_path / "long.mkv", frames * 200)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hcft_jax.main", "--config=video", f"--video={clip}"]
    command += [f"--box={box}", f"--output_dir={out}", *QUICK]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        tables = [p for p in out.rglob(".*.tmp.csv") if p.read_text().count("\n") > 4]
        if tables:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    rows = table(the(out, "partial/boxes.csv"))
    assert 3 < len(rows) < 2400
    assert len(films.read(the(out, "partial/overlay.mp4"))[0]) >= len(rows) - 1


def test_a_sweep_refuses_a_video() -> None:
    from hcft_jax.benchmark import plan
    from hcft_jax.util.errors import InputError

    experiment = settings.override(settings.load("video"), {"video": "a.mp4"})
    with pytest.raises(InputError, match=r"video: hcft_jax\.main tracks in one's own video"):
        plan.find(experiment)


@pytest.mark.slow
def test_the_trained_network_on_a_lossless_video_gives_the_boxes_of_the_benchmark(
    tmp_path: Path, run: Command
) -> None:
    trained = shared("weights", "vgg19_imagenet.npz")
    (target,) = datasets.find(shared("otb"), names=["Deer"])
    part = target.load().part(0, 19)
    images = [part.frames.read(i) for i in range(20)]
    clip = films.write(tmp_path / "deer.mkv", images)
    usual = settings.load("hcft").tracker
    params = registry.get("vgg19").placed(lookup.load(trained).params)
    tracked = np.concatenate([t.boxes for t in track_sequence(params, usual, part)])
    done = run(
        f"--video={clip}",
        f"--box={','.join(map(str, part.boxes[0]))}",
        f"--weights={trained}",
        f"--layers={','.join(usual.layers)}",
        f"--gamma={','.join(map(str, usual.gamma))}",
        "--input_size=224",
    )
    assert done.status == 0, done.err
    np.testing.assert_allclose(numbers(the(done.folder, "boxes.csv")), tracked, atol=1e-4)
    assert len(np.unique(tracked, axis=0)) > 10
