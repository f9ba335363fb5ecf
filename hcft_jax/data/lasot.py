"""The layout of LaSOT (Fan et al., CVPR 2019).

::

    <root>/[<class>/]<class>-<n>/img/00000001.jpg ...     frames
    <root>/[<class>/]<class>-<n>/groundtruth.txt          one row x,y,w,h per frame, 1-based
    <root>/[<class>/]<class>-<n>/full_occlusion.txt       one mark per frame, in one row or many
    <root>/[<class>/]<class>-<n>/out_of_view.txt

A frame is not scored where one of the marks is set: there the target is absent. The toolkit also
leaves these frames out (``calc_seq_err_robust``), but then divides by the number of all frames, so
that they fail every threshold. Sequences are selected by name or by class.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.data import layout
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes, text
from hcft_jax.util.files import exists, is_dir

MARKS = ("full_occlusion.txt", "out_of_view.txt")


def load(folder: Path) -> Sequence:
    """Read the ground truth and marks of a sequence.

    Raises:
        InputError: Frames or ground truth are missing, damaged, or do not fit each other.
    """
    files, first = layout.all_frames(folder / "img")
    where = folder / "groundtruth.txt"
    truth = boxes.from_file(boxes.parse(where))
    for path in (folder / name for name in MARKS):
        if exists(path):
            absent = text.numbers(path) != 0
            absent[:1] = False
            truth = layout.hidden(truth, absent, path)
    # the toolkit is OTB's: a box that begins before the first pixel is no valid truth
    return layout.sequence(folder.name, files, truth, where, first, sizes_only=False)


def _folders(root: Path) -> Iterator[Path]:
    for folder in layout.folders(root):
        for place in (folder, *layout.folders(folder)):
            if _is_sequence(place):
                yield place


def _is_sequence(folder: Path) -> bool:
    return is_dir(folder / "img") and exists(folder / "groundtruth.txt")


def _of_folder(folder: Path) -> Iterator[ListedTarget]:
    group, where = folder.name.rpartition("-")[0], folder / "groundtruth.txt"
    read = functools.partial(load, folder)
    yield ListedTarget(folder.name, group, where, folder / "img", read)


DATASET = Dataset(
    title="LaSOT",
    layout="expected [<class>/]<class>-<n>/img/00000001.jpg ... and groundtruth.txt in it",
    recognise=lambda root: next(_folders(root), None) is not None,
    targets=lambda root: (target for folder in _folders(root) for target in _of_folder(folder)),
    itself=_is_sequence,
    of_itself=_of_folder,
)
