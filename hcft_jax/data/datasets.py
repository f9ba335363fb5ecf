"""The data sets whose layouts are known, by what ``--dataset`` calls them."""

from collections.abc import Iterable
from pathlib import Path

from hcft_jax.data import got10k, lasot, layout, nfs, otb, plain, trackingnet, uav123, vot
from hcft_jax.data.layout import Dataset, Target
from hcft_jax.util.errors import InputError

DATASETS: dict[str, Dataset] = {
    "otb": otb.DATASET,
    "got10k": got10k.DATASET,
    "lasot": lasot.DATASET,
    "uav123": uav123.DATASET,
    "uav20l": uav123.DATASET_20L,
    "vot": vot.DATASET,
    "trackingnet": trackingnet.DATASET,
    "nfs30": nfs.DATASET_30,
    "nfs240": nfs.DATASET_240,
    "plain": plain.DATASET,
}
AUTO = "auto"
_LAST = "plain"  # any folder with images would do


def recognise(root: Path) -> str:
    """The name of the data set in a folder.

    Raises:
        InputError: it is none of them, or could be several.
    """
    found = [name for name, of in DATASETS.items() if name != _LAST and of.recognise(root)]
    if not found and DATASETS[_LAST].recognise(root):
        found = [_LAST]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{root}: could be {' or '.join(found)}: name one with --dataset")
    if (root / "img").is_dir():  # a sequence itself, a usual mistake: OTB's message says so
        return "otb"
    known = "; ".join(f"{name} {of.layout}" for name, of in DATASETS.items())
    raise InputError(f"{root}: no sequence there of any known layout: {known}")


def find(root: str | Path, dataset: str = AUTO, names: Iterable[str] | None = None) -> list[Target]:
    """The targets of a data set, in natural order, without reading any.

    Args:
        root: Its folder.
        dataset: One of ``DATASETS``, or ``AUTO``: whatever the folder looks like.
        names: Those wanted, in any spelling: of targets, or of what groups them. None: all.

    Raises:
        InputError: no such folder, nothing in it, another data set, or an unknown name.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    name = recognise(root) if dataset == AUTO else dataset
    if name not in DATASETS:
        raise InputError(f"--dataset: no {name!r}; there are {', '.join((AUTO, *DATASETS))}")
    targets = list(DATASETS[name].targets(root))
    if not targets:
        raise InputError(f"{root}: no sequence of {name} there, {DATASETS[name].layout}")
    return layout.arrange(root, targets, names)
