from pathlib import Path

import cv2
import numpy as np
import pytest

from hcft_jax.util.errors import InputError
from hcft_jax.visual.track_plot import plot_track


@pytest.mark.parametrize("with_psr", [True, False])
def test_a_track_is_plotted_to_a_png(with_psr: bool, tmp_path: Path) -> None:
    truth = np.tile([10.0, 10, 20, 20], (30, 1))
    truth[20:25, 2] = 0  # no valid ground truth there
    boxes = truth + np.linspace(0, 30, 30)[:, None] * np.array([1, 0, 0, 0])
    psr = np.r_[np.nan, np.linspace(12, 4, 29)] if with_psr else None
    plot_track(tmp_path / "a.png", boxes, truth, psr, "Deer")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture is not None
    assert picture.shape[1] == 1210
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_plot_of_boxes_that_do_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        plot_track(tmp_path / "a.png", np.ones((3, 4)), np.ones((4, 4)))
    assert not list(tmp_path.iterdir())
