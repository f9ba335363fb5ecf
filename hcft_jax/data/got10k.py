"""The layout of GOT-10k (Huang et al., TPAMI 2021).

::

    <root>/[train|val|test/]list.txt                      the sequences' names
    <root>/[train|val|test/]<Name>/00000001.jpg ...       frames
    <root>/[train|val|test/]<Name>/groundtruth.txt        one row x,y,w,h per frame; in test only
                                                          that of the first frame
    <root>/[train|val]/<Name>/absence.label, cover.label  one row per frame

Boxes are 1-based, as in the toolkit authors' own trackers. A frame is not scored where the target
is absent or entirely covered (cover 0), the latter as in the toolkit
(``ExperimentGOT10k.report``). Sequences are selected by name or by subset.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.data import layout
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes, text
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists

SUBSETS = ("train", "val", "test")
_LIST = "list.txt"


def load(folder: Path) -> Sequence:
    """Read the ground truth and labels of a sequence.

    Raises:
        InputError: Frames or ground truth are missing, damaged, or do not fit each other.
    """
    files, first = layout.all_frames(folder)
    where = folder / "groundtruth.txt"
    truth = boxes.from_file(boxes.parse(where))
    for label, absent in (("absence", lambda v: v != 0), ("cover", lambda v: v == 0)):
        path = folder / f"{label}.label"
        if exists(path) and len(truth) == len(files):
            marks = absent(text.numbers(path))
            marks[:1] = False  # the first box is given, whatever the marks say
            truth = layout.hidden(truth, marks, path)
    return layout.sequence(folder.name, files, truth, where, first)


def _subsets(root: Path) -> list[Path]:
    return [path for path in (root, *(root / s for s in SUBSETS)) if exists(path / _LIST)]


def _recognise(root: Path) -> bool:
    try:
        listed = [text.lines(subset / _LIST)[0] for subset in _subsets(root)]
    except InputError:
        return False
    return bool(listed) and all(name.startswith("GOT-10k") for name in listed)


def _targets(root: Path) -> Iterator[ListedTarget]:
    for subset in _subsets(root):
        for name in layout.listed_names(subset / _LIST):
            folder = layout.unnested(subset / name)
            group = subset.name if subset != root else ""
            truth = folder / "groundtruth.txt"
            yield ListedTarget(name, group, truth, folder, functools.partial(load, folder))


DATASET = Dataset(
    title="GOT-10k",
    layout="expected [train|val|test/]list.txt and <Name>/00000001.jpg ..., groundtruth.txt in it",
    recognise=_recognise,
    targets=_targets,
)
