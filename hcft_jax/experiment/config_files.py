"""Where configurations and sweeps are: the shipped ones, and Python files of one's own.

``configs/`` is imported as the package ``hcft_jax.configs``, in a checkout and in a wheel.
"""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from hcft_jax.util import files, opening
from hcft_jax.util.errors import InputError, SettingError, foreign
from hcft_jax.util.names import listed, near

_PACKAGE = "hcft_jax.configs"


def available() -> dict[str, dict[str, Any]]:
    """Return the shipped configurations: by name, the fields that each one changes."""
    named: dict[str, dict[str, Any]] = importlib.import_module(f"{_PACKAGE}.named").NAMED
    return named


def shipped_sweep(name: str) -> ModuleType:
    """Return the module of a shipped sweep, which has ``get_sweep()``."""
    return importlib.import_module(f"{_PACKAGE}.sweeps.{name}")


def available_sweeps() -> list[str]:
    """Return the names of the shipped sweeps."""
    package = importlib.import_module(f"{_PACKAGE}.sweeps")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def own_file(name: str, field: str, known: Collection[str]) -> Path | None:
    """Return the Python file that a setting names (``my/config.py``); None for a shipped name.

    Args:
        name: The value of the setting.
        field: The name of the setting, for messages.
        known: The shipped names.

    Raises:
        InputError: there is no such file, or no such name.
    """
    if not isinstance(name, str):
        raise SettingError(field, f"{name!r} is neither a name nor a Python file")
    if name.endswith(".py"):
        if not files.is_file(name):
            raise SettingError(field, f"no file {name}")
        return Path(name)
    if name not in known:
        raise SettingError(field, f"no {name[:60]!r}{near(name, known)}; {listed(known)}")
    return None


def execute(path: Path, function: str) -> Any:
    """Return what a function without arguments of a Python file returns.

    Raises:
        InputError: the file is too large or has no such function, or either of them fails.
    """
    opening.regular(path, opening.CONFIGURATION).close()
    spec = importlib.util.spec_from_file_location(f"hcft_jax_config_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with foreign(InputError):
            spec.loader.exec_module(module)
            made = getattr(module, function)()
            if inspect.iscoroutine(made):  # else Python warns that nobody has awaited it
                made.close()
            return made
    except InputError as error:  # the file is the user's: say where it broke, in one line
        raise InputError(f"{path}: {error}") from error
