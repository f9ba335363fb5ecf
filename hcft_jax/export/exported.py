"""Run the programs that ``python -m hcft_jax.export`` wrote, with JAX, flatbuffers and NumPy.

::

    tracker = ExportedTracker("exported")
    tracker.init(image, (x, y, w, h))     # RGB uint8 [H, W, 3]; 0-based pixels
    box, psr = tracker.update(image)
    tracker.lost                          # whether the target counts as lost in this image

Whatever is wrong is an ``ExportError``, a ``ValueError`` of one line.
"""

import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

_MANIFEST = 1 << 20  # bytes at most
_PROGRAM = 1 << 30
_WEIGHTS = 4 << 30
_LARGEST = 1 << 16  # pixels or cells of a side
_PROGRAMS = ("begin", "init", "step")


class ExportError(ValueError):
    """An error in the files, an image or a box; one line that says what to do."""


class ExportedTracker:
    """One target at a time, in images up to the size that was exported for."""

    def __init__(self, folder: str | Path):
        """Read the programs and the weights. They are compiled when they are first run.

        Only files with the digests that the manifest has of them are read.

        Raises:
            ExportError: A file is missing, damaged or not of these programs, or they were exported
                for another platform.
        """
        folder = Path(folder)
        self.manifest = _manifest(folder / "manifest.json")
        digests = self.manifest["sha256"]
        platform = jax.default_backend().replace("gpu", "cuda")
        if platform not in self.manifest["platforms"]:
            raise ExportError(f"exported for {self.manifest['platforms']}, not for {platform}")
        self._begin, self._init, self._step = (
            _program(folder / f"{name}.jaxexport", digests) for name in _PROGRAMS
        )
        self._weights = _weights(folder / "weights.npz", digests)
        self.lost = False
        self._state: Any = None
        self._size: Any = None

    def init(self, image: Any, box: Any) -> None:
        """Start with a target, (x, y, w, h) in pixels from 0.

        Raises:
            ExportError: The image or the box is none that was exported for.
        """
        padded = self._padded(image)
        size, most = np.array(np.shape(image)[:2], np.int32), np.array(self.manifest["grid"])
        given = _numbers(box)
        x, y, w, h = given
        if not (w > 0 and h > 0 and x + w > 0 and x < size[1] and y + h > 0 and y < size[0]):
            raise ExportError(f"box {_shown(box)} is empty or outside of the image")
        begun, grid = self._begin(given.astype(np.float32), size)
        if np.any(grid < 3) or np.any(grid > most):
            raise ExportError(f"box {_shown(box)} needs {grid} cells: 3 to {most} are possible")
        self._size = np.shape(image)
        self.lost = False
        self._state = self._init(self._weights, padded, begun)

    def update(self, image: Any) -> tuple[Any, float]:
        """Return the box (x, y, w, h) in the next frame, and its peak-to-sidelobe ratio.

        ``lost`` then says whether the target counts as lost.

        Raises:
            ExportError: There is no target yet, or the image has another size or type.
        """
        if self._state is None:
            raise ExportError("no target yet: call init(image, box) first")
        padded = self._padded(image)
        if np.shape(image) != self._size:
            raise ExportError(f"image of {np.shape(image)}, and init was called with {self._size}")
        self._state, box, psr, lost = self._step(self._weights, self._state, padded)
        self.lost = bool(lost)
        return np.asarray(box), float(psr)

    def _padded(self, image: Any) -> Any:
        try:
            given = np.asarray(image)
        except Exception as error:  # whatever the conversion of a type that we do not know raises
            raise ExportError(f"{type(image).__name__} is not an image") from error
        most = self.manifest["image"]
        fits = given.ndim == 3 and given.shape[2] == 3 and given.dtype == np.uint8 and given.size
        if not fits or given.shape[0] > most[0] or given.shape[1] > most[1]:
            raise ExportError(f"not RGB uint8 of at most {most} (height, width)")
        more = np.array(most) - given.shape[:2]
        return np.pad(given, [(0, more[0]), (0, more[1]), (0, 0)])


def _numbers(box: Any) -> np.ndarray:
    try:
        given = np.asarray(box, np.float64)
    except Exception as error:  # as above
        raise ExportError(f"box {_shown(box)} is not four numbers") from error
    if given.shape != (4,) or not np.all(np.abs(given) < np.finfo(np.float32).max):
        raise ExportError(f"box {_shown(box)} is not four numbers")
    return given


def _shown(value: Any) -> str:
    try:
        return " ".join(str(value).split())[:60]
    except Exception:
        return f"of the type {type(value).__name__}"


def _regular(path: Path, most: int) -> Path:
    """Return the path of a regular file; a pipe would be waited for, a device read for ever."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(f"{path}: cannot be read ({reason}); export it again") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        raise ExportError(f"{path}: not a regular file of at most {most >> 20} MiB")
    return path


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(_regular(path, _MANIFEST).read_bytes())
        for name in ("image", "grid"):
            sizes = manifest[name]
            if len(sizes) != 2 or not all(type(n) is int and 0 < n <= _LARGEST for n in sizes):
                raise ValueError(name)
        if not all(isinstance(name, str) for name in manifest["platforms"]):
            raise ValueError("platforms")
        for name in (*(f"{program}.jaxexport" for program in _PROGRAMS), "weights.npz"):
            if not isinstance(manifest["sha256"][name], str):
                raise ValueError(f"sha256 of {name}")
    except ExportError:
        raise
    # what json raises about anything, and look-ups in what is no object
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = _shown(error) or type(error).__name__
        raise ExportError(f"{path}: not a manifest ({reason}); export it again") from error
    return dict(manifest)


def _same(path: Path, digests: dict[str, str], most: int) -> Path:
    """Return the path of a file that is as it was written."""
    try:
        with _regular(path, most).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror})") from error
    if digest != digests[path.name]:
        raise ExportError(f"{path}: not the file that the manifest has; export it again")
    return path


def _program(path: Path, digests: dict[str, str]) -> Any:
    data = bytearray(_same(path, digests, _PROGRAM).read_bytes())
    try:
        return jax.jit(jax.export.deserialize(data).call)
    except Exception as error:  # flatbuffers and JAX have no exception of their own for it
        raise ExportError(f"{path}: no program that this JAX reads ({_shown(error)})") from error


def _weights(path: Path, digests: dict[str, str]) -> dict[str, Any]:
    try:
        with _same(path, digests, _WEIGHTS).open("rb") as file, np.load(file) as weights:
            arrays = {name: weights[name] for name in weights.files}
    except ExportError:
        raise
    except Exception as error:  # of zipfile, zlib and NumPy
        raise ExportError(f"{path}: no arrays ({_shown(error)}); export it again") from error
    if not all(array.dtype.kind == "f" and math.prod(array.shape) for array in arrays.values()):
        raise ExportError(f"{path}: has arrays that are none of a network; export it again")
    return dict(jax.device_put(arrays))
