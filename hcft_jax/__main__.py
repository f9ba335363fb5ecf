"""One command with parts, each for one job and with flags of its own.

::

    hcft PART --help                 the flags of a part
    hcft PART --flag=value ...       what it does

``python -m hcft_jax`` is the same command.
"""

import ast
import importlib
import importlib.util
import pkgutil
import runpy
import sys
from types import ModuleType

from hcft_jax.util import entry
from hcft_jax.util.errors import InputError, report
from hcft_jax.util.flag_groups import plain
from hcft_jax.util.names import near

DEFAULT = "track"  # what flags without a part are for
MODULES = {
    "track": "hcft_jax.main",
    "video": "hcft_jax.track_video",
    "evaluate": "hcft_jax.evaluation",
    "download": "hcft_jax.data.otb_download",
    "weights": "hcft_jax.weights",
    "export": "hcft_jax.export",
    "vot": "hcft_jax.integrations.vot_toolkit",
    "photos": "hcft_jax.experiments.lost.photos",
    "accelerator": "hcft_jax.experiments.throughput.accelerator",
}
"""The modules of the parts, besides the experiments: each folder of these is a part."""


def parts() -> dict[str, str]:
    """Return all parts: name to module."""
    package: ModuleType = importlib.import_module("hcft_jax.experiments")
    found = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg)
    return MODULES | {name: f"{package.__name__}.{name}" for name in found}


def summary(module: str) -> str:
    """Return the first line of a part's docstring, without importing it.

    Args:
        module: Its name.
    """
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{module}.__main__")
    source = getattr(spec and spec.loader, "get_source", lambda _: None)(spec and spec.name)
    return (ast.get_docstring(ast.parse(source or "")) or "").partition("\n")[0].replace("``", "")


def overview() -> str:
    """Return the list of all parts, a line each."""
    lines = [plain(__doc__ or ""), "", "Parts:"]
    known = parts()
    width = max(map(len, known))
    lines += [f"  {name.ljust(width)}  {summary(module)}" for name, module in known.items()]
    return "\n".join(
        [*lines, "", f"Flags without a part are for {DEFAULT}. --version: {entry.version()}"]
    )


def run() -> None:
    """Start the command, ``hcft`` or ``python -m hcft_jax``."""
    words = sys.argv[1:]
    if not words or words[0] in entry.HELP:
        entry.guarded(lambda: print(overview()))
    if words[0] == entry.VERSION:
        entry.guarded(lambda: print(entry.version()))
    name, rest = (words[0], words[1:]) if not words[0].startswith("-") else (DEFAULT, words)
    known = parts()
    name = name.replace("-", "_")
    if name not in known:
        problem = f"{words[0][:60]!r}: no such part{near(name, known)}; hcft --help lists them"
        entry.guarded(lambda: report(InputError(problem)))
    sys.argv[1:] = rest
    runpy.run_module(known[name], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run()
