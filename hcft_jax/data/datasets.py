"""The data sets whose layouts are known, by the names that the setting ``dataset`` takes."""

from collections.abc import Iterable
from pathlib import Path

from hcft_jax.data import got10k, lasot, layout, nfs, otb, plain, trackingnet, uav123, unused, vot
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.util import files
from hcft_jax.util.errors import InputError, SettingError

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
_LAST = "plain"  # fits any folder with images, so it is tried last


def recognise(root: Path) -> str:
    """Return the name of the data set in a folder.

    Raises:
        InputError: The folder is none of them, or could be several.
    """
    found = [name for name, of in DATASETS.items() if name != _LAST and of.recognise(root)]
    found = found or [name for name, of in DATASETS.items() if of.itself(root)]
    inside = files.is_dir(root / "img")  # a sequence of OTB without its ground truth, see ``find``
    if not found and not inside:
        found = [_LAST] if DATASETS[_LAST].recognise(root) else []
    if len(found) == 1:
        return found[0]
    if found:
        raise SettingError("dataset", f"{root} could be {' or '.join(found)}: name one of them")
    if inside:
        return "otb"
    known = "; ".join(f"{name} {of.layout}" for name, of in DATASETS.items())
    raise InputError(f"{root}: no sequence there of any known layout: {known}")


def find(
    root: str | Path, dataset: str = AUTO, names: Iterable[str] | None = None
) -> list[ListedTarget]:
    """Return the targets of a data set, in natural order, without reading any.

    Args:
        root: Its folder; or that of one of its sequences.
        dataset: One of ``DATASETS``, or ``AUTO``: what the folder looks like.
        names: The wanted targets or groups (a video, class or subset), in any spelling. None: all.

    Raises:
        InputError: There is no such folder, it holds no or another data set, two of its targets
            have one name, or a wanted name is unknown.
    """
    root = Path(root)
    if not files.is_dir(root):
        raise InputError(f"{root}: no such folder")
    root = layout.unnested(root)
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise InputError(f"{root}: cannot list it ({error.strerror or error})") from error
    name = recognise(root) if dataset == AUTO else dataset
    if name not in DATASETS:
        raise SettingError("dataset", f"no {name!r}; there are {', '.join((AUTO, *DATASETS))}")
    layout_ = DATASETS[name]
    if layout_.itself(root):
        targets = list(layout_.of_itself(root.resolve()))  # which has a name, whatever it is called
    else:
        targets = list(layout_.targets(root))
    if not targets:
        itself = files.is_dir(root / "img")
        hint = "; this is a sequence itself, give its parent folder" if itself else ""
        raise InputError(f"{root}: no sequence of {name} there, {layout_.layout}{hint}")
    return layout.arrange(root, targets, names)


def not_read(root: str | Path, targets: Iterable[ListedTarget], dataset: str = AUTO) -> list[str]:
    """Return a line for each part of a data set's folder that none of its targets reads.

    Args:
        root: The folder.
        targets: All its targets, as ``find`` returns them without names.
        dataset: As for ``find``.

    Raises:
        InputError: As ``recognise`` does.
    """
    root = layout.unnested(Path(root))
    name = recognise(root) if dataset == AUTO else dataset
    return unused.lines(root, DATASETS[name], list(targets))
