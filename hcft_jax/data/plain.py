"""The layout of any folder of images: one sequence, or one folder per sequence.

::

    <root>/[<Name>/]<any name>.jpg ...      frames, in natural order of their names
    <root>/[<Name>/]groundtruth.txt         one row x,y,w,h per frame, 1-based, or one row only
    <root>/[<Name>/]<Name>.txt              also this, box.txt or groundtruth_rect.txt

A single row is the box of the first frame. NaN, or a size of 0, means that a frame has no truth; it
is tracked but not scored.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.data import layout
from hcft_jax.data.frames import SUFFIXES, ImageFiles
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists
from hcft_jax.util.names import natural

NAMES = ("groundtruth.txt", "box.txt", "groundtruth_rect.txt")


def load(folder: Path) -> Sequence:
    """Read the ground truth, or the first box, of a folder of images.

    Raises:
        InputError: There is no box, or the boxes are more or fewer than the frames.
    """
    files = ImageFiles(tuple(_images(folder)))
    where = _truth(folder)
    if not exists(where):
        raise InputError(f"{where}: no such file; write the target's first box into it: x,y,w,h")
    truth = boxes.from_file(boxes.parse(where, gaps=True))
    return layout.sequence(folder.name, files, truth, where)


def _truth(folder: Path) -> Path:
    candidates = [folder / name for name in (*NAMES, f"{folder.name}.txt")]
    return next((path for path in candidates if exists(path)), candidates[0])


def _images(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError:
        return []
    found = [path for path in found if not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural(path.stem))


def _targets(root: Path) -> Iterator[ListedTarget]:
    for folder in (root, *layout.folders(root)):
        if _images(folder):
            name = folder.resolve().name
            place = folder.resolve()
            read = functools.partial(load, place)
            yield ListedTarget(name, name, _truth(place), place, read)


DATASET = Dataset(
    title="a folder of images",
    layout="expected images and groundtruth.txt in it or in each of its folders",
    recognise=lambda root: next(_targets(root), None) is not None,
    targets=_targets,
)
