"""Result files of the OTB MATLAB toolkit, the form in which results are published."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from hcft_jax.evaluation.metrics import valid
from hcft_jax.evaluation.regions import to_boxes
from hcft_jax.util import matlab, opening
from hcft_jax.util.boxes import LARGEST, Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing
from hcft_jax.util.matlab import MatlabCell, MatlabStruct
from hcft_jax.util.names import key


class Published(NamedTuple):
    """The run of a tracker on one sequence."""

    boxes: Boxes  # [T, 4] float64, 1-based; NaN or w, h <= 0 where the tracker gave none
    start: int | None  # the file number of the first frame, from 1; None if the file has none


def read_mat(path: str | Path) -> Published:
    """Read the one-pass run of ``<Sequence>_<Tracker>.mat``.

    Raises:
        InputError: as for ``read_runs``, or the file has several runs (TRE or SRE).
    """
    runs = read_runs(path)
    if len(runs) != 1:
        raise InputError(f"{path}: has {len(runs)} results, but a one-pass run has one")
    return runs[0]


def read_runs(path: str | Path) -> list[Published]:
    """Read all runs of a file: one (OPE), or those of TRE and SRE in order.

    ``results`` is a cell of structs, or one struct, with ``type``, ``res`` and, where the type
    needs it, ``tmplsize`` (``regions`` has the rules).

    Raises:
        InputError: the file is missing, damaged, not MATLAB's or has no ``results``, or the type of
            one is unknown or does not fit its ``res``.
    """
    path = Path(path)
    try:
        results = matlab.read(path, opening.RESULTS, ["results"]).get("results")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error
    runs = results.values if isinstance(results, MatlabCell) else [results]  # or one struct
    if results is None or not runs:
        raise InputError(f"{path}: has 0 results, expected a cell 'results'")
    return [_run(path, number, run) for number, run in enumerate(runs, 1)]


def _run(path: Path, number: int, run: matlab.Value) -> Published:
    elements = run.elements if isinstance(run, MatlabStruct) else []
    fields = elements[0] if len(elements) == 1 else {}
    if not {"res", "type"} <= fields.keys():
        raise InputError(f"{path}: results{{{number}}} has no res and type")
    kind, res, size = fields["type"], fields["res"], fields.get("tmplsize")
    try:
        if not isinstance(kind, str):
            raise ValueError("its type is not a text")
        if not isinstance(res, np.ndarray):
            raise ValueError("its res is a text or a cell, expected numbers")
        boxes = to_boxes(kind[:40], res, size if isinstance(size, np.ndarray) else None)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    starts = fields.get("startFrame")
    start = starts.ravel()[0] if isinstance(starts, np.ndarray) and starts.size else math.nan
    boxes = np.where(np.isfinite(boxes), boxes, np.nan)  # an infinite box is no box, either
    return Published(boxes, int(start) if np.isfinite(start) else None)


def write_mat(path: str | Path, boxes: Boxes, *, start: int, annotated_from: int) -> None:
    """Write a one-pass run as the toolkit does, ``results{1}`` of type 'rect', whole or not at all.

    Args:
        path: ``<Sequence>_<Tracker>.mat``.
        boxes: ``[T, 4]``, 1-based; NaN where the tracker gave none.
        start: The file number of the first box's frame.
        annotated_from: The file number of the first annotated frame.

    Raises:
        InputError: the folder cannot be written to.
    """
    cell = np.empty((1, 1), object)
    cell[0, 0] = {
        "type": "rect",
        "res": np.asarray(boxes, np.float64),
        "len": float(len(boxes)),
        "annoBegin": float(annotated_from),
        "startFrame": float(start),
    }
    with replacing(path) as temporary:
        scipy.io.savemat(temporary, {"results": cell}, do_compression=True)


def find(folder: str | Path, sequence: str, tracker: str) -> Path:
    """Find the file of a sequence and tracker, in any of the spellings that authors use.

    Raises:
        InputError: there is no such file.
    """
    wanted = key(f"{sequence}_{tracker}")
    for path in sorted(Path(folder).glob("*.mat")):
        if key(path.stem) == wanted:
            return path
    raise InputError(f"{folder}: has no results {sequence}_{tracker}.mat")


def align(
    published: Published, truth: Boxes, first_frame: int, annotated_from: int | None = None
) -> Boxes:
    """Return the boxes ``[T, 4]`` of a run on the evaluated frames, 1-based.

    Lengths decide, since authors number frames differently: a run as long as ``truth`` is on these
    frames, a run as long as the whole annotation loses the frames before them, and any other run
    begins at its ``start``. A run may end before last frames without valid ground truth (Board,
    Twinnings): these boxes are NaN, which the toolkit's rule replaces by the box before them.

    Args:
        published: A run; without a start it is assumed to begin where the ground truth does.
        truth: Ground truth of the evaluated frames ``[T, 4]``, 1-based.
        first_frame: The file number of the first row of ``truth``.
        annotated_from: The file number of the first annotated frame; None if it is the same.

    Raises:
        InputError: the run covers other frames, or a box is in no image.
    """
    boxes, start = published
    if (far := (np.abs(boxes) > LARGEST).any(axis=1)).any():  # not so for NaN
        number = int(far.argmax())
        raise InputError(f"box {number + 1} is in no image ({_shown(boxes[number])})")
    before = first_frame - (first_frame if annotated_from is None else annotated_from)
    if len(boxes) == len(truth):
        lead = 0
    elif len(boxes) == len(truth) + before:
        lead = before
    else:
        lead = 0 if start is None else first_frame - start
    rows = boxes[lead:] if lead >= 0 else boxes[:0]
    count = len(rows)
    if not count or count > len(truth) or valid(truth[count:]).any():
        since = "" if start is None else f" from frame {start}"
        raise InputError(
            f"{len(boxes)} boxes{since} do not fit the {len(truth)} frames evaluated from frame "
            f"{first_frame}"
        )
    return np.concatenate([rows, np.full((len(truth) - count, 4), np.nan)])


def _shown(box: Boxes) -> str:
    return ", ".join(f"{value:g}" for value in box)
