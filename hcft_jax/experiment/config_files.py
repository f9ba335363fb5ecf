"""Where configurations and sweeps are: the shipped files, and Python files of one's own."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hcft_jax.util.errors import InputError
from hcft_jax.util.names import listed, near


def available(folder: str = "") -> dict[str, Path]:
    """The shipped configurations, or the files of a folder beside them: name to file."""
    here = Path(__file__).parents[1]
    # installed inside the package (setup.py), beside it in a checkout
    configs = next(p for p in (here / "configs", here.parent / "configs") if p.is_dir())
    files = sorted((configs / folder).glob("*.py"))
    return {p.stem: p for p in files if p.stem != "__init__"}


def locate(name: str, flag: str, known: Mapping[str, Path]) -> Path:
    """The Python file that a flag names: a shipped one by its name, or one's own (``x.py``).

    Raises:
        InputError: there is no such file.
    """
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise InputError(f"{flag}: no file {name}")
        return Path(name)
    if name not in known:
        raise InputError(f"{flag}: no {name!r}{near(name, known)}; {listed(known)}")
    return known[name]


def execute(path: Path, function: str) -> Any:
    """What a function without arguments of a Python file returns.

    Raises:
        InputError: the file has no such function, or either of them fails.
    """
    spec = importlib.util.spec_from_file_location(f"hcft_jax_config_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return getattr(module, function)()
    except InputError:
        raise
    except Exception as error:  # the file is the user's: say where it broke, in one line
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: {text}") from error
