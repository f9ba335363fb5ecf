"""The layout of TrackingNet (Müller et al., ECCV 2018).

::

    <root>/[TEST|TRAIN_<k>/]frames/<Name>/0.jpg ...   frames, numbered from 0 without padding
    <root>/[TEST|TRAIN_<k>/]anno/<Name>.txt           one row x,y,w,h per frame, 0-based; in TEST
                                                      only the first row is public

Sequences are selected by name or by subset.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.data import layout
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes
from hcft_jax.util.files import is_dir


def load(where: Path, frames: Path) -> Sequence:
    """Read the ground truth of a sequence.

    Raises:
        InputError: Frames or ground truth are missing, damaged, or do not fit each other.
    """
    files, first = layout.all_frames(frames)
    return layout.sequence(where.stem, files, boxes.parse(where), where, first)


def _subsets(root: Path) -> list[Path]:
    places = (root, *layout.folders(root))
    return [path for path in places if all(is_dir(path / s) for s in ("anno", "frames"))]


def _targets(root: Path) -> Iterator[ListedTarget]:
    for subset in _subsets(root):
        for where in (subset / "anno").glob("*.txt"):
            frames = subset / "frames" / where.stem
            read = functools.partial(load, where, frames)
            yield ListedTarget(where.stem, subset.name, where, frames, read)


DATASET = Dataset(
    title="TrackingNet",
    layout="expected [TEST|TRAIN_<k>/]anno/<Name>.txt and frames/<Name>/0.jpg ... in it",
    recognise=lambda root: bool(_subsets(root)),
    targets=_targets,
)
