"""Where a tracker's results come from: files, and for this program's how they were made."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hcft_jax.evaluation import results
from hcft_jax.util.errors import InputError

# What a summary.json says of the scores, which the page has from the evaluation.
_SCORES = ("sequences", "mean", "protocols", "failed", "command")


def source(tracker: str, files: Mapping[str, Path]) -> dict[str, Any]:
    """What the page says of a tracker.

    Args:
        tracker: Its name.
        files: Its results by sequence.

    Returns:
        ``name``, ``folder`` and ``files`` (how many), and of a result folder of this program
        ``command`` (as a shell takes it) and ``settings``: the rest of its ``summary.json``, nested
        names joined by dots. ``note`` says why these are not there though they should be.
    """
    if not files:
        return {"name": tracker, "folder": None, "files": 0}
    said: dict[str, Any] = {"name": tracker, "files": len(files)}
    folder = Path(os.path.commonpath([path.parent for path in files.values()]))
    if folder.name != "ope":
        return said | {"folder": str(folder), "pattern": _pattern(files)}
    said["folder"] = str(folder.parent)
    try:
        summary = results.read_json(folder.parent / "summary.json")
    except InputError as error:
        return said | {"note": str(error)}
    command = summary.get("command")
    if isinstance(command, list) and command:
        said["command"] = _command([str(part) for part in command])
    settings = {name: value for name, value in summary.items() if name not in _SCORES}
    return said | {"settings": _flat(settings)}


def responses(path: Path) -> Path | None:
    """The response maps that belong to a file of boxes; None: there are none."""
    maps = path.parent.parent / "responses" / f"{path.stem}.npz"
    return maps if path.parent.name == "ope" and maps.is_file() else None


def _pattern(files: Mapping[str, Path]) -> str:
    """One of the files' names, to show how they are called."""
    return min(path.name for path in files.values())


def _command(parts: list[str]) -> str:
    # python -m hcft_jax.main leaves the module's path in place of its name
    if Path(parts[0]).parts[-2:] == ("hcft_jax", "main.py"):
        return f"python -m hcft_jax.main {shlex.join(parts[1:])}".rstrip()
    return shlex.join(parts)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested dictionaries as one: ``{"tracker": {"eta": 1}}`` is ``{"tracker.eta": 1}``."""
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= _flat(part, f"{name}.{key}" if name else str(key))
    return flat
