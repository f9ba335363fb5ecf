"""Box conventions, stated once.

* A box is ``(x, y, w, h)``: left, top, width, height in pixels.
* In **files** (ground truth, results) x and y are 1-based, as in MATLAB: the pixel in the top left
  corner is (1, 1).
* **Inside** the program x and y are 0-based. ``from_file`` and ``to_file`` are the only crossings.
* A position is ``(row, column)``, 0-based, and a size ``(height, width)``: array order.
"""

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]


def from_file(boxes: npt.ArrayLike) -> Boxes:
    """1-based boxes ``[..., 4]`` of a file to the 0-based ones used inside, float64."""
    return np.asarray(boxes, np.float64) - np.array([1.0, 1.0, 0.0, 0.0])


def to_file(boxes: npt.ArrayLike) -> Boxes:
    """0-based boxes ``[..., 4]`` to the 1-based ones that files hold, float64."""
    return np.asarray(boxes, np.float64) + np.array([1.0, 1.0, 0.0, 0.0])
