"""The settings and the speed that a result folder of this program records."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hcft_jax.core.config import TrackerConfig
from hcft_jax.evaluation import results
from hcft_jax.util import names
from hcft_jax.util.errors import InputError

Settings = dict[str, Any]
"""The fields of ``TrackerConfig``, and ``weights``: the digest of the network's file."""


def normalised(settings: Mapping[str, Any]) -> Settings:
    """Return settings as JSON holds them, with the defaults of fields that are missing."""
    known = dataclasses.asdict(TrackerConfig()) | dict(settings)
    return dict(json.loads(json.dumps(known)))


def settings(folder: Path) -> Settings | None:
    """Return the settings in ``summary.json``, or None if this is no result folder of our tracker.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / "summary.json"
    if not path.is_file():
        return None
    content = results.read_json(path)
    try:
        recorded = content["experiment"]["tracker"]
        if isinstance(recorded, str):  # a baseline
            return None
        return normalised(recorded) | {"weights": content["weights"]["digest"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: it has no settings of a tracker ({error})") from error


def all_settings(origins: Mapping[str, Path]) -> dict[str, Settings]:
    """Return the settings by tracker, of the trackers that have some.

    Raises:
        InputError: a file is damaged.
    """
    found = {tracker: settings(origin) for tracker, origin in origins.items()}
    return {tracker: of for tracker, of in found.items() if of is not None}


def fps(folder: Path, targets: Iterable[str]) -> float | None:
    """Return the frames per second over all frames of some targets; None if one is not known.

    Raises:
        InputError: a file of ``speed/`` is damaged.
    """
    files = {names.key(path.stem): path for path in (folder / "speed").glob("*.json")}
    frames = seconds = 0.0
    for target in targets:
        path = files.get(names.key(target))
        if path is None:
            return None
        speed = results.read_json(path)
        try:
            frames, seconds = frames + float(speed["frames"]), seconds + float(speed["seconds"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: it has no frames and seconds") from error
    return frames / seconds if seconds else None
