"""Parts of a video: which frames they have, in which order, of every kind of source."""

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hcft_jax.data import recorded, video
from hcft_jax.data.part import Part, Point, of_settings
from hcft_jax.data.sequence import Frame
from hcft_jax.util.errors import InputError, SettingError
from tests import films

COUNT = 12


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    rng = np.random.default_rng(3)
    smooth = rng.integers(0, 256, (COUNT, 5, 7, 3)).astype(np.uint8)
    return [cv2.resize(f, (64, 48), interpolation=cv2.INTER_CUBIC) for f in smooth]


@pytest.fixture(scope="module", params=["file", "folder"])
def source(
    request: pytest.FixtureRequest, frames: list[Frame], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The frames, one every 1/30 s."""
    folder = tmp_path_factory.mktemp("source")
    if request.param == "file":
        times = [n / 30 for n in range(COUNT)]
        return films.write(folder / "a.mkv", frames, times=times)
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("text", "point"),
    [
        (75, Point(frame=75)),
        ("75", Point(frame=75)),
        ("3.5s", Point(seconds=3.5)),
        ("0s", Point(seconds=0)),
        ("1:05", Point(seconds=65)),
        ("1:00:05.25", Point(seconds=3605.25)),
    ],
)
def test_a_place_is_a_frame_or_a_time(text: Any, point: Point) -> None:
    assert Point.parse("start", text) == point


@pytest.mark.parametrize(
    "text", [0, "0", "-1", "2.5", 2.5, True, "", "nan", "1:60", "1e3", "9" * 99, "s", "1:2:3:4"]
)
def test_what_is_neither_is_refused_with_both(text: Any) -> None:
    with pytest.raises(SettingError, match=r"start: .* nor a time: 3\.5s, or 1:05"):
        Point.parse("start", text)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, range(1, 13)),
        ({"start": 4}, range(4, 13)),
        ({"end": 4}, range(1, 5)),
        ({"start": 4, "end": 4}, [4]),
        ({"start": "0.1s", "end": "0.2s"}, [4, 5, 6, 7]),
        ({"start": 3, "every": 4}, [3, 7, 11]),
        ({"start": 3, "every": 4, "max_frames": 2}, [3, 7]),
        ({"backwards": True}, range(12, 0, -1)),
        ({"start": 3, "end": 9, "every": 4, "backwards": True}, [9, 5]),
        ({"end": "0:00.2", "max_frames": 3, "backwards": True}, [7, 6, 5]),
    ],
)
@pytest.mark.parametrize("held", [recorded.HELD, 1, 40_000])
def test_a_part_has_its_frames_in_its_order(
    settings: dict[str, Any],
    wanted: list[int],
    held: int,
    source: Path,
    frames: list[Frame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded, "HELD", held)  # all, one and three frames on the way back
    with video.opened(source, of_settings(**settings)) as opened:
        moments = list(opened)
    assert [m.number for m in moments] == list(wanted)
    np.testing.assert_allclose([m.time for m in moments], [(n - 1) / 30 for n in wanted], atol=1e-3)
    np.testing.assert_array_equal([m.image for m in moments], [frames[n - 1] for n in wanted])


@given(
    start=st.none() | st.integers(1, 20),
    end=st.none() | st.integers(1, 20),
    every=st.integers(1, 5),
    most=st.none() | st.integers(1, 9),
    count=st.integers(1, 15),
)
def test_frames_one_by_one_and_by_index_are_the_same(
    start: int | None, end: int | None, every: int, most: int | None, count: int
) -> None:
    part = Part(
        None if start is None else Point(start), None if end is None else Point(end), every, most
    )
    taking, found = part.taking(), list[int]()
    for index in range(count):
        if taking(index + 1, index / 30):
            found.append(index)
        if taking.over:
            break
    assert found == list(part.order(count, 30.0))


def test_nothing_is_read_after_the_last_frame_of_a_part(
    source: Path, frames: list[Frame], tmp_path: Path
) -> None:
    path = films.write(tmp_path / "cut.mkv", frames)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    with video.opened(path, Part(end=Point(4))) as opened:
        assert [m.number for m in opened] == [1, 2, 3, 4]
    with (
        pytest.raises(InputError, match="the video is damaged"),
        video.opened(path, Part(backwards=True)) as opened,
    ):
        list(opened)


@pytest.mark.parametrize("part", [Part(start=Point(13)), Part(Point(13), backwards=True)])
def test_a_part_without_a_frame_is_an_error(source: Path, part: Part) -> None:
    with pytest.raises(InputError, match="before its first frame in the part that is asked for"):
        video.opened(source, part).__enter__()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 5, "end": 4}, "end: frame 4 comes before the start, frame 5"),
        ({"start": "5s", "end": "4s"}, "end: 4 s comes before the start, 5 s"),
        ({"every": 0}, "every: 0 must be at least 1"),
        ({"max_frames": 0}, "max_frames: 0 must be at least 1"),
        ({"every": 1.5}, "every: 1.5 is not a whole number"),
    ],
)
def test_a_part_that_can_have_no_frame_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        of_settings(**settings)


def test_different_parts_are_described_differently() -> None:
    parts = [
        Part(*points, every, most, back)
        for points in [(None, None), (Point(2), None), (None, Point(2)), (Point(seconds=2), None)]
        for every, most, back in itertools.product((1, 2), (None, 2), (False, True))
    ]
    assert len({str(part.described()) for part in parts}) == len(parts)
    assert Part().described() == {}
