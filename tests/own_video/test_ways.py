"""Parts, ways and targets of videos: what is tracked where, with a tracker that only counts.

It moves its box by what it sees, so that each box depends on all frames before it, in their order.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcft_jax.answers import Result
from hcft_jax.data import live
from hcft_jax.data.moments import Moment, Video
from hcft_jax.data.sequence import Frame
from hcft_jax.experiment import settings
from hcft_jax.own_video import followed, tracking
from hcft_jax.util.errors import InputError, SettingError
from tests import films

COUNT = 12
BOX = (10.0, 8.0, 20.0, 12.0)


def moved(box: np.ndarray, image: Frame) -> np.ndarray:
    return np.array([0.9 * box[0] + image[0, 0, 0] / 99, box[1] + 0.25, *box[2:]], np.float64)


class Single:
    params, config = None, None
    box = np.zeros(4)

    def init(self, image: Frame, box: Any) -> Result:
        self.box = np.array(box, np.float64)
        return Result(self.box.astype(np.float32), float("nan"), False)

    def update(self, image: Frame) -> Result:
        self.box = moved(self.box, image)
        return Result(self.box.astype(np.float32), 30.0, bool(image[0, 0, 0] > 200))


class Batch:
    def __init__(self, params: None, config: None, image: Frame, boxes: Any):
        self.boxes = np.array(boxes, np.float64)
        self.grids = np.full((len(boxes), 2), 99)

    def update(self, image: Frame) -> SimpleNamespace:
        self.boxes = np.array([moved(box, image) for box in self.boxes])
        lost = np.full(len(self.boxes), image[0, 0, 0] > 200)
        return SimpleNamespace(box=self.boxes, psr=np.full(len(lost), 30.0), lost=lost)


@pytest.fixture(autouse=True)
def _counting(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(weights=SimpleNamespace(digest="d"), tracker=Single())
    monkeypatch.setattr(tracking, "Trackers", lambda experiment: made)
    monkeypatch.setattr(followed, "Several", Batch)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    rng = np.random.default_rng(5)
    return [np.full((48, 64, 3), value, np.uint8) for value in rng.integers(0, 256, COUNT)]


@pytest.fixture
def clip(frames: list[Frame], tmp_path: Path) -> Path:
    times = [n / 30 for n in range(COUNT)]
    return films.write(tmp_path / "clip.mkv", frames, times=times)


Track = Callable[..., Path]


@pytest.fixture
def track(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Track:
    """Track with some fields of ``OwnVideo``; return the folder of the files."""

    def run(video: Path | str, box: tuple[float, ...] | None = BOX, **fields: Any) -> Path:
        usual = {"overlay": False, "output_dir": str(tmp_path / "out"), "video": str(video)}
        usual |= {} if box is None else {"box": box}
        experiment = settings.derive("video", **usual | fields).validate()
        return Path(tracking.run(experiment).rpartition(": ")[2])

    return run


def table(folder: Path, name: str = "boxes.csv") -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def numbers(folder: Path, name: str = "boxes.csv") -> np.ndarray:
    return np.array([[float(row[k]) for k in "xywh"] for row in table(folder, name)])


def shown(folder: Path, name: str = "boxes.csv") -> list[int]:
    return [int(row["frame"]) for row in table(folder, name)]


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ({"start": "4", "end": "9"}, range(4, 10)),
        ({"start": "0.1s", "end": "0:00.2"}, range(4, 8)),
        ({"every": 5}, range(1, 12, 5)),
        ({"start": "2", "every": 3, "max_frames": 2}, [2, 5]),
        ({"backwards": True}, range(12, 0, -1)),
        ({"start": "3", "end": "11", "every": 4, "backwards": True}, [11, 7, 3]),
    ],
)
def test_a_part_has_the_boxes_of_the_frames_cut_out_by_hand(
    part: dict[str, Any],
    wanted: list[int],
    clip: Path,
    frames: list[Frame],
    track: Track,
    tmp_path: Path,
) -> None:
    cut = films.write(tmp_path / "cut.mkv", [frames[n - 1] for n in wanted])
    own, by_hand = track(clip, **part), track(cut)
    assert shown(own) == sorted(wanted)
    expected = numbers(by_hand)
    order = np.argsort(list(wanted))
    np.testing.assert_array_equal(numbers(own), expected[order])
    times = [float(row["time"]) for row in table(own)]
    np.testing.assert_allclose(times, [(n - 1) / 30 for n in sorted(wanted)], atol=1e-3)
    assert len(np.unique(numbers(own), axis=0)) == len(wanted)


@pytest.mark.parametrize("at", ["7", "0.2s"])
def test_both_ways_from_a_frame(at: str, clip: Path, track: Track) -> None:
    both = track(clip, at=at, start="2", end="11")
    onwards, back = (
        track(clip, start="7", end="11"),
        track(clip, start="2", end="7", backwards=True),
    )
    assert shown(both) == list(range(2, 12))
    np.testing.assert_array_equal(numbers(both), [*numbers(back)[:-1], *numbers(onwards)])
    summary = json.loads((both / "summary.json").read_text())
    assert summary["frames"] == 10


def test_another_part_is_another_result_and_the_same_one_is_kept(clip: Path, track: Track) -> None:
    parts: list[dict[str, Any]] = [
        *({}, {"start": "2"}, {"end": "11"}, {"every": 2}, {"max_frames": 12}, {"backwards": True}),
        *({"at": "1"}, {"start": "2", "every": 2}, {"start": "0.1s"}),
    ]
    folders = [track(clip, **part) for part in parts]
    assert len(set(folders)) == len(parts)
    stamps = [(folder / "boxes.csv").stat().st_mtime_ns for folder in folders]
    assert [track(clip, **part) for part in parts] == folders
    assert [(folder / "boxes.csv").stat().st_mtime_ns for folder in folders] == stamps


def test_targets_start_in_frames_of_their_own(clip: Path, track: Track, tmp_path: Path) -> None:
    given = tmp_path / "starts.csv"
    given.write_text(
        "id,frame,x,y,w,h,score\ncat,3,10,8,20,12,.9\ndog,6,5,5,9,9,.8\ndog,7,1,1,9,8,1\n"
    )
    folder = track(clip, None, boxes=str(given), end="10")
    assert shown(folder, "boxes-cat.csv") == list(range(3, 11))
    assert shown(folder, "boxes-dog.csv") == list(range(6, 11))
    alone = track(clip, start="3", end="10")
    np.testing.assert_array_equal(numbers(folder, "boxes-cat.csv"), numbers(alone))
    back = track(clip, None, boxes=str(given), backwards=True, start="2")
    assert shown(back, "boxes-dog.csv") == list(range(2, 8))
    assert shown(back, "boxes-cat.csv") == list(range(2, 4))
    thinned = track(clip, None, boxes=str(given), every=4)
    assert shown(thinned, "boxes-cat.csv") == [3, 7, 11]
    assert shown(thinned, "boxes-dog.csv") == [7, 11]
    np.testing.assert_array_equal(numbers(thinned, "boxes-dog.csv")[0], [1, 1, 9, 8])


def test_a_target_that_starts_after_the_end_is_said(
    clip: Path, track: Track, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "starts.csv"
    given.write_text("frame,id,x,y,w,h\n1,1,10,8,20,12\n9,2,5,5,9,9\n")
    folder = track(clip, None, boxes=str(given), end="0.2s", crop_video=True)
    assert "ends before the targets 2 start" in capsys.readouterr().err
    assert table(folder, "boxes-2.csv") == []
    stamp = (folder / "boxes-1.csv").stat().st_mtime_ns
    assert track(clip, None, boxes=str(given), end="0.2s", crop_video=True) == folder
    assert (folder / "boxes-1.csv").stat().st_mtime_ns == stamp


def test_every_format_has_the_same_boxes(clip: Path, track: Track, tmp_path: Path) -> None:
    given = tmp_path / "starts.csv"
    given.write_text("frame,id,x,y,w,h\n2,7,10,8,20,12\n4,9,5,5,9,9\n")
    folder = track(
        clip, None, boxes=str(given), format=("csv", "mot", "json", "coco"), backwards=True
    )
    expected = {
        (int(name), frame): box
        for name in ("7", "9")
        for frame, box in zip(
            shown(folder, f"boxes-{name}.csv"), numbers(folder, f"boxes-{name}.csv"), strict=True
        )
    }
    assert len(expected) == 6
    mot = np.loadtxt(folder / "mot.txt", delimiter=",")
    assert mot.shape == (6, 10)
    assert mot[:, 0].tolist() == sorted(mot[:, 0])
    of_mot = {(int(r[1]), int(r[0])): r[2:6] - [1, 1, 0, 0] for r in mot}
    content = json.loads((folder / "boxes.json").read_text())
    of_json = {
        (t["id"], f["frame"]): np.array([f["box"][k] for k in "xywh"])
        for t in content["targets"]
        for f in t["frames"]
    }
    coco = json.loads((folder / "coco.json").read_text())
    images = {image["id"]: image["frame"] for image in coco["images"]}
    of_coco = {
        (a["track_id"], images[a["image_id"]]): np.array(a["bbox"]) for a in coco["annotations"]
    }
    assert (content["width"], content["height"]) == (64, 48)
    for found in (of_mot, of_json, of_coco):
        assert found.keys() == expected.keys()
        for key, box in expected.items():
            np.testing.assert_allclose(found[key], box, atol=1e-4)
    # and each of them is a detector's file
    for name in ("mot.txt", "coco.json"):
        again = track(clip, None, boxes=str(folder / name), start="1", end="1")
        assert shown(again, "boxes-7.csv") == [1]


def test_boxes_are_given_and_written_as_corners(clip: Path, track: Track) -> None:
    sizes = track(clip)
    folder = track(clip, (10.0, 8.0, 30.0, 20.0), box_format="xyxy", end="0:01")
    rows = [[float(row[k]) for k in ("x1", "y1", "x2", "y2")] for row in table(folder)]
    x, y, w, h = numbers(sizes).T
    np.testing.assert_allclose(rows, np.stack([x, y, x + w, y + h], 1), atol=2e-4)


@pytest.mark.parametrize("way", [{}, {"backwards": True, "every": 2}])
def test_what_is_asked_for_later_is_made_of_the_boxes_that_are_there(
    way: dict[str, Any], clip: Path, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, Any] = {
        "format": ("csv", "mot", "json", "coco"),
        **{"overlay": True, "plain_video": True, "crop_video": True, "box_format": "xyxy"},
    }
    cut = (10.0, 8.0, 30.0, 20.0)
    at_once = track(clip, cut, output_dir=str(tmp_path / "other"), **more, **way)
    folder = track(clip, **way)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "OneTarget", None)  # nothing is tracked
        assert track(clip, cut, **more, **way) == folder
        stamp = (folder / "overlay.mp4").stat().st_mtime_ns
        assert track(clip, cut, **more, **way) == folder
    assert (folder / "overlay.mp4").stat().st_mtime_ns == stamp
    for path in at_once.iterdir():
        if path.name == "boxes.json":  # corners are sums of rounded numbers there
            assert len(path.read_text()) == pytest.approx(len((folder / path.name).read_text()), 9)
        elif path.suffix == ".mp4":
            pairs = zip(films.read(path)[0], films.read(folder / path.name)[0], strict=True)
            assert max(np.abs(a.astype(int) - b).mean() for a, b in pairs) < 1
        elif path.suffix in (".csv", ".txt"):
            given, made = (np.genfromtxt(f / path.name, delimiter=",") for f in (at_once, folder))
            np.testing.assert_allclose(made, given, atol=2.1e-4)


@pytest.mark.parametrize("name", ["boxes.csv", "summary.json"])
def test_what_is_damaged_is_tracked_anew(name: str, clip: Path, track: Track) -> None:
    folder = track(clip)
    expected = (folder / "boxes.csv").read_text()
    (folder / name).write_text("frame,time,x\n1,,\n")
    assert track(clip, format=("csv", "mot")) == folder
    assert (folder / "boxes.csv").read_text() == expected


@pytest.mark.parametrize("way", [{}, {"backwards": True}, {"at": "5"}])
def test_films_have_all_frames_in_the_order_of_the_video(
    way: dict[str, Any], clip: Path, frames: list[Frame], track: Track
) -> None:
    folder = track(clip, start="3", end="9", overlay=True, plain_video=True, crop_video=True, **way)
    plain, times, _ = films.read(folder / "plain.mp4")
    np.testing.assert_allclose(times, [n / 30 for n in range(7)], atol=1e-3)
    assert np.abs(plain.astype(int) - np.array(frames[2:9])).max() < 6
    assert len(films.read(folder / "overlay.mp4")[0]) == 7
    crops = films.read(folder / "crop.mp4")[0]
    assert crops.shape == (7, 128, 214, 3)  # twice the box, enlarged
    assert np.abs(crops.astype(int).mean((1, 2, 3)) - np.mean(frames[2:9], (1, 2, 3))).max() < 6


def test_a_folder_of_videos_has_one_result_each_and_goes_on(
    clip: Path,
    frames: list[Frame],
    track: Track,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, count in (("a", 5), ("b", 6)):
        films.write(folder / f"{name}.mkv", frames[:count])
    (folder / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"1 of 3 videos failed: .*bad\.mp4; the same command"):
        track(folder)
    err = capsys.readouterr()
    assert "bad.mp4: not a video" in err.err
    tables = {p.parent.name[0]: p for p in tmp_path.glob("out/*/video/*/boxes.csv")}
    assert {name: len(table(p.parent)) for name, p in tables.items()} == {"a": 5, "b": 6}
    (folder / "bad.mp4").unlink()
    track(folder)
    assert capsys.readouterr().out.count("kept, it is there") == 2
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "a.txt").write_text("1,2,9,9\n")
    with pytest.raises(InputError, match=r"1 of 2 videos failed: .*b\.mkv"):
        track(folder, None, boxes=str(tmp_path / "boxes"))
    assert "no boxes of" in capsys.readouterr().err


def test_pictures_by_a_pattern_are_a_video(
    frames: list[Frame], track: Track, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "img").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "img" / f"f_{number:03d}.png")
    folder = track(tmp_path / "img" / "f_%03d.png", format=("csv", "coco"))
    np.testing.assert_array_equal(numbers(folder), numbers(track(clip)))
    coco = json.loads((folder / "coco.json").read_text())
    assert coco["images"][3]["file_name"] == "f_003.png"


def test_what_a_live_source_lost_is_in_the_table(
    frames: list[Frame], track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [Moment(n / 9, f, n + 1, 2.5 if n == 6 else 0.0) for n, f in enumerate(frames)]

    def camera(source: str) -> Video:
        seen = (moment for moment in moments)
        return Video(source, "camera-0", True, None, None, seen, breaks=[dict(BREAK)])

    monkeypatch.setattr(live, "camera", camera)
    monkeypatch.setattr(live, "latest", lambda opened, items: items)
    rows = table(folder := track("0", end="10"))
    assert [int(row["frame"]) for row in rows] == list(range(2, 11))  # the first one compiles
    assert [float(row["gap"]) for row in rows] == [0, 0, 0, 0, 0, 2.5, 0, 0, 0]
    assert json.loads((folder / "summary.json").read_text())["breaks"] == [BREAK]
    with pytest.raises(InputError, match="a live source cannot be tracked backwards"):
        track("0", backwards=True)


BREAK = {"frame": 7, "seconds": 2.5, "reason": "Connection reset"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"at": "3", "backwards": True}, "at: tracks both ways"),
        ({"at": "3", "start": "4"}, "end: frame 3 comes before the start, frame 4"),
        ({"at": "30"}, "before its first frame in the part"),
        ({"start": "2.5"}, "start: '2.5' is neither the number of a frame"),
        ({"format": ("csv", "xml")}, "format: no 'xml'; there are csv, mot, json, coco"),
        ({"format": ()}, "format: name at least one"),
        ({"box_format": "cxcywh"}, "box_format: no 'cxcywh'"),
        ({"layers_view": True, "backwards": True}, "layers_view: is drawn forwards"),
        ({"reconnect": -1}, "reconnect: -1 must be at least 0"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    fields: dict[str, Any], message: str, clip: Path, track: Track
) -> None:
    with pytest.raises(InputError, match=message):
        track(clip, **fields)


def test_a_file_with_frames_says_where_the_tracking_starts(
    clip: Path, track: Track, tmp_path: Path
) -> None:
    given = tmp_path / "starts.csv"
    given.write_text("frame,x,y,w,h\n5,10,8,20,12\n6,10,8,20,12\n")
    with pytest.raises(SettingError, match=r"at: .* has frames of its own"):
        track(clip, None, boxes=str(given), at="3")
    with pytest.raises(InputError, match="no box is in a frame that is tracked"):
        track(clip, None, boxes=str(given), start="7")
    assert shown(track(clip, None, boxes=str(given), start="2"), "boxes-1.csv") == list(
        range(5, 13)
    )
