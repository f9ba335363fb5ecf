"""HCFT (Ma et al., ICCV 2015) as one compiled, batched, differentiable JAX program.

The public names are loaded when they are first used, since the evaluation needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hcft_jax.util.version import __version__

if TYPE_CHECKING:
    from hcft_jax.api import Result as Result
    from hcft_jax.api import Track as Track
    from hcft_jax.api import Tracker as Tracker
    from hcft_jax.api import TrackError as TrackError
    from hcft_jax.core.config import TrackerConfig as TrackerConfig
    from hcft_jax.data.sequence import Sequence as Sequence
    from hcft_jax.data.synthetic import Synthetic as Synthetic
    from hcft_jax.data.synthetic import synthetic as synthetic
    from hcft_jax.experiment.settings import Experiment as Experiment
    from hcft_jax.experiment.settings import OwnVideo as OwnVideo
    from hcft_jax.experiment.settings import derive as derive
    from hcft_jax.experiment.settings import load as load
    from hcft_jax.experiment.settings import override as override
    from hcft_jax.experiment.sweeps import product as product
    from hcft_jax.util.errors import InputError as InputError
    from hcft_jax.util.errors import SettingError as SettingError

_HOME = {
    "Result": "api",
    "Track": "api",
    "TrackError": "api",
    "Tracker": "api",
    "TrackerConfig": "core.config",
    "Sequence": "data.sequence",
    "Synthetic": "data.synthetic",
    "synthetic": "data.synthetic",
    "Experiment": "experiment.settings",
    "OwnVideo": "experiment.settings",
    "derive": "experiment.settings",
    "load": "experiment.settings",
    "override": "experiment.settings",
    "product": "experiment.sweeps",
    "InputError": "util.errors",
    "SettingError": "util.errors",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hcft_jax.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
