"""Response maps of a run, kept beside its boxes, with one byte per cell.

``<folder>/responses/<Sequence>.npz``, for T frames and L maps of (gh, gw) cells:

===========  ======================  ===========================================================
``maps``     uint8 [T, L, gh, gw]    a map f is ``offset + scale * maps``, off by at most scale / 2
``offset``   float32 [T, L]          NaN for a frame without a map, as the first one, which is given
``scale``    float32 [T, L]          0 for a constant map
``layers``   str [L]                 the layers of the maps, deepest first
``gamma``    float32 [L]             their weights: the maximum is sought in the sum (Eq. 5)
``centres``  float32 [T, 2]          (row, column) of no displacement, 0-based pixels
``window``   int [2]                 (height, width) of the search window around it, pixels
``cell``     float [2]               height and width of a cell in pixels
``psr``      float32 [T]             peak-to-sidelobe ratio; NaN in the first frame
===========  ======================  ===========================================================

The cell (gh // 2, gw // 2) of a map has its middle at ``centres``.
"""

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax.util import npz, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing

Levels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_MOST = 255  # the highest level


class Responses(NamedTuple):
    """The content of a file, as in the table of the module."""

    maps: Levels
    offset: Floats
    scale: Floats
    layers: list[str]
    gamma: Floats
    centres: Floats
    window: tuple[int, int]
    cell: tuple[float, float]
    psr: Floats


def quantise(maps: npt.NDArray[np.floating[Any]]) -> tuple[Levels, Floats, Floats]:
    """Quantise maps ``[..., gh, gw]`` to levels 0 to 255, with an offset and a scale ``[...]``.

    ``offset + scale * levels`` is within half a step, scale / 2, of the map. A map with a value
    that is not finite is dropped: its offset is NaN.
    """
    values = np.asarray(maps, np.float64)
    whole = np.asarray(np.isfinite(values).all(axis=(-2, -1)))
    values = np.where(whole[..., None, None], values, 0.0)
    offset = values.min(axis=(-2, -1)).astype(np.float32)
    scale = ((values.max(axis=(-2, -1)) - offset) / _MOST).astype(np.float32)
    steps = np.where(scale > 0, scale, 1).astype(np.float64)[..., None, None]
    levels = np.rint((values - offset[..., None, None]) / steps).clip(0, _MOST)
    return levels.astype(np.uint8), np.where(whole, offset, np.float32(np.nan)), scale


@dataclass
class Writer:
    """The writer of a file, which ``writing`` opens; it takes frames in order."""

    shape: tuple[int, int, int, int]
    file: IO[bytes]
    rows: list[tuple[Floats, ...]] = field(default_factory=list)

    def write(
        self,
        maps: npt.NDArray[np.floating[Any]] | None,
        centres: npt.NDArray[np.floating[Any]],
        psr: npt.NDArray[np.floating[Any]],
    ) -> None:
        """Append n frames.

        Args:
            maps: ``[n, L, gh, gw]``; None for frames without maps.
            centres: (row, column) around which each frame was searched, 0-based pixels ``[n, 2]``.
            psr: Peak-to-sidelobe ratios ``[n]``.
        """
        if maps is None:
            maps = np.full((len(psr), *self.shape[1:]), np.nan)
        levels, offset, scale = quantise(maps)
        self.file.write(levels.tobytes())
        self.rows.append((offset, scale, centres.astype(np.float32), psr.astype(np.float32)))


@contextlib.contextmanager
def writing(
    path: str | Path,
    frames: int,
    *,
    layers: Sequence[str],
    gamma: Sequence[float],
    grid: tuple[int, int],
    window: tuple[int, int],
    cell: tuple[float, float],
) -> Iterator[Writer]:
    """Write a file frame by frame; memory does not grow with the maps.

    The file appears when the block ends; after an exception there is no file. Equal content gives
    equal bytes.

    Args:
        path: ``<Sequence>.npz``.
        frames: The number of frames, T.
        layers: Names of the maps.
        gamma: Their weights.
        grid: (gh, gw).
        window: Height and width of the search window in pixels.
        cell: Height and width of a cell in pixels.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    shape = (frames, len(layers), *grid)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(_member("maps"), "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            writer = Writer(shape, file)
            yield writer
        names = ("offset", "scale", "centres", "psr")
        columns = zip(*writer.rows, strict=True)
        rest = dict(zip(names, map(np.concatenate, columns), strict=True))
        if len(rest["psr"]) != frames:
            raise ValueError(f"{len(rest['psr'])} of {frames} frames were written")
        rest |= {"layers": np.array(layers), "gamma": np.asarray(gamma, np.float32)}
        rest |= {"window": np.array(window), "cell": np.array(cell, np.float64)}
        for name, values in rest.items():
            with archive.open(_member(name), "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member of the archive that has no time in it."""
    member = zipfile.ZipInfo(f"{name}.npy")
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def read(path: str | Path) -> Responses:
    """Read a file that ``writing`` wrote.

    Raises:
        InputError: the file cannot be read or has other content.
    """
    path = Path(path)
    try:
        content = npz.read(path, opening.RESPONSES, names=Responses._fields)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except npz.DamagedFile as error:
        raise InputError(
            f"{path}: the file is damaged or has no response maps, remove it"
        ) from error
    maps = content["maps"]
    frames, layers = maps.shape[:2] if maps.ndim == 4 and maps.dtype == np.uint8 else (0, 0)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "centres": ("f", (frames, 2)),
        "psr": ("f", (frames,)),
        "offset": ("f", (frames, layers)),
        "scale": ("f", (frames, layers)),
        "layers": ("U", (layers,)),
        "gamma": ("f", (layers,)),
        "window": ("i", (2,)),
        "cell": ("f", (2,)),
    }
    fits = all(
        (content[name].dtype.kind, content[name].shape) == form for name, form in shapes.items()
    )
    if not (fits and maps.size):
        raise InputError(f"{path}: its arrays do not fit together, remove it")
    numbers = [content[name] for name, (kind, _) in shapes.items() if kind == "f"]
    sides = np.concatenate([content["window"], content["cell"]])
    if any(np.isinf(array).any() for array in numbers) or not np.all((sides > 0) & (sides < 1e6)):
        raise InputError(f"{path}: has numbers that no run has, remove it")
    (height, width), (high, wide) = content["window"], content["cell"]
    return Responses(
        maps,
        content["offset"],
        content["scale"],
        [str(name) for name in content["layers"]],
        content["gamma"],
        content["centres"],
        (int(height), int(width)),
        (float(high), float(wide)),
        content["psr"],
    )
