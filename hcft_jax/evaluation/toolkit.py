"""Result files of the OTB MATLAB toolkit, the form in which published trackers come."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from hcft_jax.boxes import Boxes
from hcft_jax.errors import InputError
from hcft_jax.evaluation.metrics import valid


class Published(NamedTuple):
    """One tracker's run on one sequence."""

    boxes: Boxes  # [T, 4] float64, 1-based; NaN or w, h <= 0 where the tracker gave none
    start: int | None  # the file number of the first frame, from 1; some authors leave it out


def read_mat(path: str | Path) -> Published:
    """Reads ``<Sequence>_<Tracker>.mat``: struct ``results{1}`` with ``type`` 'rect' and ``res``.

    Raises:
        InputError: the file is missing or not MATLAB's, holds no ``results``, several runs (TRE,
            SRE), another type of region, or a ``res`` that is not ``[T, 4]`` numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = scipy.io.loadmat(path)
    # scipy raises whatever its parsers meet: ValueError, TypeError, NotImplementedError, zlib.error
    except Exception as error:
        raise InputError(f"{path}: not a MATLAB file that can be read ({error})") from error
    runs = np.asarray(content.get("results", np.empty(0))).ravel()
    if runs.size != 1:
        raise InputError(f"{path}: holds {runs.size} results, want the one of a one-pass run")
    run = runs[0] if runs.dtype == object else runs  # a cell of a struct, or the struct itself
    fields = run.dtype.names or ()
    if "res" not in fields or "type" not in fields:
        raise InputError(f"{path}: results{{1}} has no res and type")
    run = run.ravel()[0]
    kind = "".join(run["type"].ravel().astype(str))
    if kind != "rect":
        raise InputError(f"{path}: regions of type {kind!r}, only 'rect' is known")
    # MATLAB stores doubles in the smallest integer type that holds them: uint8 would wrap around.
    boxes = np.asarray(run["res"])
    if boxes.dtype.kind not in "iuf" or boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise InputError(f"{path}: res is {boxes.dtype}{list(boxes.shape)}, want numbers [T, 4]")
    starts = run["startFrame"].ravel() if "startFrame" in fields else np.empty(0)
    return Published(boxes.astype(np.float64), int(starts[0]) if starts.size else None)


def find(folder: str | Path, sequence: str, tracker: str) -> Path:
    """The file of a sequence and tracker, in any of the spellings that authors use.

    Letter case is ignored, and ``Skating2.1`` is ``Skating2-1``.

    Raises:
        InputError: there is none.
    """
    wanted = f"{sequence}_{tracker}".lower()
    for path in sorted(Path(folder).glob("*.mat")):
        if path.stem.lower().replace(".", "-") == wanted:
            return path
    raise InputError(f"{folder}: no results {sequence}_{tracker}.mat")


def align(published: Published, truth: Boxes, first_frame: int) -> tuple[Boxes, Boxes]:
    """Boxes and ground truth, 1-based ``[T, 4]`` both, of the frames that the run covers.

    A run may start after the first annotated frame (Tiger1), and some end before last frames that
    have no valid ground truth (Board, Twinnings): these boxes are NaN, which the toolkit's rule
    replaces by the last one.

    Args:
        published: A run; without a start it is taken to begin where the ground truth does.
        truth: Ground truth of the sequence ``[N, 4]``, 1-based.
        first_frame: The file number of the first row of ``truth``.

    Raises:
        InputError: the run covers other frames.
    """
    skip = 0 if published.start is None else published.start - first_frame
    covered = truth[skip:] if skip >= 0 else truth[:0]
    count = len(published.boxes)
    if not len(covered) or count > len(covered) or valid(covered[count:]).any():
        raise InputError(
            f"{count} boxes from frame {first_frame + skip} do not fit the {len(truth)} annotated "
            f"from frame {first_frame}"
        )
    missing = np.full((len(covered) - count, 4), np.nan)
    return np.concatenate([published.boxes, missing]), covered
