"""Photos in a folder, from which something is learned or calibrated."""

from pathlib import Path

from hcft_jax.util.errors import SettingError

NAMES = ("*.jpg", "*.jpeg", "*.JPEG", "*.png")


def find(folder: str | Path | None, most: int | None = None, least: int = 1) -> list[Path]:
    """Return the photos in a folder and its subfolders, by name.

    Args:
        folder: The setting ``photos``.
        most: Where there are more, those evenly spread over all of them. None: all.
        least: How many are needed.

    Raises:
        SettingError: No folder is named, or it has too few photos.
    """
    if folder is None:
        raise SettingError("photos", "name a folder of photos")
    found = sorted(path for name in NAMES for path in Path(folder).rglob(name))
    if len(found) < least:
        raise SettingError(
            "photos", f"{folder} has {len(found)} photos, and at least {least} are needed"
        )
    if most is None or len(found) <= most:
        return found
    return [found[i * len(found) // most] for i in range(most)]
