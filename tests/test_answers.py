"""A track shows itself, and is written and given on as a table."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pandas
import pytest

from hcft_jax.answers import Track
from hcft_jax.util.errors import InputError

TRACK = Track(
    boxes=np.array([[1, 2, 3, 4], [1.5, 2, 3, 4], [2, 2.25, 3, 4]], np.float32),
    scores=np.array([np.nan, 7.5, 4.25], np.float32),
    times=np.array([0, 0.04, 0.08]),
    lost=np.array([False, False, True]),
    frames=np.array([3, 4, 5]),
)


def test_it_is_saved_as_the_table_of_a_video(tmp_path: Path) -> None:
    TRACK.save(tmp_path / "boxes.csv")
    assert (tmp_path / "boxes.csv").read_text().splitlines() == [
        "frame,time,x,y,w,h,score,lost",
        "3,0.000000,1.0000,2.0000,3.0000,4.0000,,0",
        "4,0.040000,1.5000,2.0000,3.0000,4.0000,7.5000,0",
        "5,0.080000,2.0000,2.2500,3.0000,4.0000,4.2500,1",
    ]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        TRACK.save(tmp_path / "file" / "boxes.csv")


def test_pandas_gets_a_row_per_frame() -> None:
    frame = TRACK.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame) == ["frame", "time", "x", "y", "w", "h", "score", "lost"]
    assert frame["x"].tolist() == [1, 1.5, 2]
    assert frame["lost"].tolist() == [False, False, True]


def test_its_figure_has_the_centres_sizes_and_scores() -> None:
    backwards = Track._make(column[::-1] for column in TRACK)
    for track in (TRACK, backwards):
        path, size, score, _ = track.plot().axes
        assert path.lines[0].get_xydata().tolist() == [[2.5, 4], [3, 4], [3.5, 4.25]]  # type: ignore[union-attr]
        assert [line.get_label() for line in size.lines] == ["width", "height"]
        assert score.lines[0].get_xdata().tolist() == [3, 4, 5]  # type: ignore[union-attr]
        np.testing.assert_array_equal(score.lines[0].get_ydata(), [np.nan, 7.5, 4.25])


def test_a_notebook_shows_the_figure() -> None:
    shown = TRACK._repr_html_()
    assert "3 frames, lost in 1" in shown
    _, _, content = shown.partition("base64,")
    picture = cv2.imdecode(
        np.frombuffer(base64.b64decode(content.partition('"')[0]), np.uint8), cv2.IMREAD_COLOR
    )
    assert picture is not None
    assert picture.shape[1] > 500
