"""The tracks of one sequence frame by frame, with pictures and response maps of some frames."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hcft_jax.data import datasets, sequence
from hcft_jax.data.layout import ListedTarget
from hcft_jax.evaluation import metrics, responses
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.report import sources
from hcft_jax.evaluation.report.encoding import compressed, pack
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.util.errors import InputError, SettingError

MAX_FRAMES, MAX_SIDE = 40, 320

_QUALITY = 70  # of WebP
_PIXELS, _PARTS, _RATIO = 0.01, 1e-4, 0.01  # steps of boxes and errors, of overlaps, of PSR


@dataclass(frozen=True)
class Pictures:
    """The frames that the page shows as pictures, and their size.

    Attributes:
        folder: The folder of the sequences; None for no pictures.
        max_frames: The largest number of frames per sequence, spread evenly; the page shows
            response maps of these frames, too.
        max_side: The longest side of a picture in pixels; frames are never enlarged.
    """

    folder: str | Path | None = None
    max_frames: int = MAX_FRAMES
    max_side: int = MAX_SIDE

    def find(self, benchmark: Benchmark) -> dict[str, ListedTarget]:
        """Return the folder's targets by the benchmark's names.

        Raises:
            InputError: the folder is missing or has none of the benchmark's sequences.
            SettingError: a limit is not above zero.
        """
        for name in ("max_frames", "max_side"):
            if getattr(self, name) < 1:
                raise SettingError(name, f"{getattr(self, name)} is not above zero")
        if self.folder is None:
            return {}
        found = {benchmark.name_of(target.name): target for target in datasets.find(self.folder)}
        targets = {name: target for name, target in found.items() if name is not None}
        if not targets:
            raise InputError(f"{self.folder}: none of its sequences is annotated")
        return targets

    def shown(self, frames: int) -> list[int]:
        """Return the indices of the frames to show: the first, the last, and some between them."""
        places = np.linspace(0, frames - 1, min(self.max_frames, frames))
        return [int(place) for place in np.rint(places)]


def tracks(
    name: str,
    trackers: Sequence[str],
    results: Results,
    benchmark: Benchmark,
    pictures: Pictures,
    target: ListedTarget | None,
) -> dict[str, Any]:
    """Return the page's data of a sequence.

    Args:
        name: The benchmark's name of the sequence.
        trackers: All trackers in the order of the page; only those with a result are kept.
        results: Their boxes.
        benchmark: The ground truth.
        pictures: The frames to show.
        target: The sequence with its frames; None if there are none.

    Raises:
        InputError: frames or response maps cannot be read or do not fit.
    """
    truth = benchmark.targets[name].truth
    shown = pictures.shown(len(truth))
    have = [place for place, t in enumerate(trackers) if name in results.boxes[t]]
    judged = [metrics.per_frame(results.boxes[trackers[place]][name], truth) for place in have]
    content: dict[str, Any] = {
        "first": benchmark.targets[name].first_frame,
        "truth": pack(truth.T, _PIXELS),
        "shown": shown,
        "trackers": have,
        "files": [str(results.files[trackers[place]][name]) for place in have],
        "boxes": pack([of.boxes.T for of in judged], _PIXELS),
        "overlap": pack([of.overlap for of in judged], _PARTS),
        "error": pack([of.error for of in judged], _PIXELS),
        "responses": {
            str(place): _responses(path, len(truth), shown)
            for place in have
            if (path := sources.responses(results.files[trackers[place]][name]))
        },
    }
    if target is not None:
        content |= _pictures(target, len(truth), shown, pictures.max_side)
    return content


def _pictures(target: ListedTarget, frames: int, shown: list[int], side: int) -> dict[str, Any]:
    video = target.load()
    if len(video) != frames:
        raise InputError(
            f"{target.where}: {len(video)} frames, but the annotations have {frames} of "
            f"{target.name}"
        )

    def picture(index: int) -> tuple[tuple[int, ...], str]:
        frame = video.frames.read(index)
        return frame.shape[:2], _webp(frame, side)

    with ThreadPoolExecutor() as pool:
        made = list(pool.map(picture, shown))
    return {"size": made[0][0], "pictures": [text for _, text in made]}


def _webp(frame: sequence.Frame, side: int) -> str:
    image = Image.fromarray(frame)
    image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=2)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _responses(path: Path, frames: int, shown: list[int]) -> dict[str, Any]:
    read = responses.read(path)
    if len(read.maps) != frames:
        raise InputError(f"{path}: {len(read.maps)} frames, but the annotations have {frames}")
    return {
        "layers": read.layers,
        "gamma": _significant(read.gamma),
        "grid": read.maps.shape[2:],
        "window": read.window,
        "cell": read.cell,
        "psr": pack(read.psr, _RATIO),
        "centres": _significant(read.centres[shown]),
        "offset": _significant(read.offset[shown]),
        "scale": _significant(read.scale[shown]),
        "maps": compressed(read.maps[shown].tobytes()),
    }


def _significant(values: npt.ArrayLike) -> list[float | None]:
    """Round numbers to six digits; None for NaN, which JSON does not have."""
    return [None if np.isnan(v) else float(f"{v:.6g}") for v in np.ravel(values)]
