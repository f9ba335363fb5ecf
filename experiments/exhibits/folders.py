"""What a result folder of this program says of itself: its settings and how fast it was."""

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
"""The fields of ``TrackerConfig`` and ``weights``, the digest of the network's file."""


def normalised(settings: Mapping[str, Any]) -> Settings:
    """Settings as JSON has them; fields that are not there yet have their default."""
    known = dataclasses.asdict(TrackerConfig()) | dict(settings)
    return dict(json.loads(json.dumps(known)))


def settings(folder: Path) -> Settings | None:
    """The settings that ``summary.json`` records; None: it is no result folder of our tracker.

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
        recorded = normalised(recorded)
        return recorded | {"weights": content["weights"]["digest"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: no settings of a tracker in it ({error})") from error


def all_settings(origins: Mapping[str, Path]) -> dict[str, Settings]:
    """The settings of each tracker that has some, by its name.

    Args:
        origins: As in ``layouts.Results``.

    Raises:
        InputError: as ``settings``.
    """
    found = {tracker: settings(origin) for tracker, origin in origins.items()}
    return {tracker: of for tracker, of in found.items() if of is not None}


def fps(folder: Path, targets: Iterable[str]) -> float | None:
    """Frames a second over some targets, all frames over all seconds; None where one is not known.

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
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: no frames and seconds in it") from error
    return frames / seconds if seconds else None
