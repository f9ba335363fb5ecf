"""HCFT (Ma et al., ICCV 2015) as one compiled, batched, differentiable JAX program.

The public names are loaded when they are first used, since the evaluation needs no JAX.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from hcft_jax.util import interrupts
from hcft_jax.util.version import __version__

if TYPE_CHECKING:
    from hcft_jax.answers import Result as Result
    from hcft_jax.answers import Track as Track
    from hcft_jax.answers import TrackedFrame as TrackedFrame
    from hcft_jax.answers import TrackError as TrackError
    from hcft_jax.api import Tracker as Tracker
    from hcft_jax.boards import evaluate as evaluate
    from hcft_jax.boards import run_benchmark as run_benchmark
    from hcft_jax.boards import run_sweep as run_sweep
    from hcft_jax.core.config import TrackerConfig as TrackerConfig
    from hcft_jax.core.detection import Output as Output
    from hcft_jax.core.detection import State as State
    from hcft_jax.core.detection import detect as detect
    from hcft_jax.core.differentiable import cross_entropy as cross_entropy
    from hcft_jax.core.differentiable import unroll as unroll
    from hcft_jax.core.target import Bucket as Bucket
    from hcft_jax.core.target import buckets as buckets
    from hcft_jax.core.tracker import begin as begin
    from hcft_jax.core.tracker import init as init
    from hcft_jax.core.tracker import learn as learn
    from hcft_jax.core.tracker import observe as observe
    from hcft_jax.core.tracker import start as start
    from hcft_jax.core.tracker import step as step
    from hcft_jax.core.tracker import track as track
    from hcft_jax.data.sequence import Sequence as Sequence
    from hcft_jax.data.synthetic import Synthetic as Synthetic
    from hcft_jax.data.synthetic import synthetic as synthetic
    from hcft_jax.evaluation.scoreboard import Scoreboard as Scoreboard
    from hcft_jax.experiment.settings import Experiment as Experiment
    from hcft_jax.experiment.settings import derive as derive
    from hcft_jax.experiment.settings import load as load
    from hcft_jax.experiment.settings import override as override
    from hcft_jax.experiment.sweeps import product as product
    from hcft_jax.experiment.video_settings import OwnVideo as OwnVideo
    from hcft_jax.run.batch import LaneTrack as LaneTrack
    from hcft_jax.run.batch import track_many as track_many
    from hcft_jax.run.several import Several as Several
    from hcft_jax.run.streaming import track_sequence as track_sequence
    from hcft_jax.run.together import track_together as track_together
    from hcft_jax.util.errors import InputError as InputError
    from hcft_jax.util.errors import InputWarning as InputWarning
    from hcft_jax.util.errors import SettingError as SettingError
    from hcft_jax.weights.lookup import find as find_weights  # noqa: F401
    from hcft_jax.weights.native import Weights as Weights

_HOME = {
    "api": ("Tracker",),
    "core.config": ("TrackerConfig",),
    "core.differentiable": ("cross_entropy", "unroll"),
    "core.target": ("Bucket", "buckets"),
    "core.detection": ("Output", "State", "detect"),
    "core.tracker": (
        "begin",
        "init",
        "learn",
        "observe",
        "start",
        "step",
        "track",
    ),
    "data.sequence": ("Sequence",),
    "data.synthetic": ("Synthetic", "synthetic"),
    "evaluation.scoreboard": ("Scoreboard",),
    "boards": ("evaluate", "run_benchmark", "run_sweep"),
    "experiment.settings": ("Experiment", "derive", "load", "override"),
    "experiment.sweeps": ("product",),
    "experiment.video_settings": ("OwnVideo",),
    "answers": ("Result", "Track", "TrackError", "TrackedFrame"),
    "run.batch": ("LaneTrack", "track_many"),
    "run.several": ("Several",),
    "run.streaming": ("track_sequence",),
    "run.together": ("track_together",),
    "util.errors": ("InputError", "InputWarning", "SettingError"),
    "weights.lookup": ("find_weights",),
    "weights.native": ("Weights",),
}
_NAME_THERE = {"find_weights": "find"}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE, "__version__"]


# In a checkout ``configs`` and ``experiments`` lie beside this package, in a wheel inside it: they
# are ``hcft_jax.configs`` and ``hcft_jax.experiments`` in both, installed or not.
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if all(os.path.exists(os.path.join(_CHECKOUT, name)) for name in ("pyproject.toml", "configs")):
    __path__.append(_CHECKOUT)


# Python imports this first for ``python -m hcft_jax.main``; the other modules take a second.
if os.path.basename(getattr(sys, "argv", [""])[0]) in ("-m", "hcft", "hcft.exe"):
    interrupts.starting()


def __getattr__(name: str) -> Any:
    if name in _MODULE:
        module = importlib.import_module(f"hcft_jax.{_MODULE[name]}")
        return getattr(module, _NAME_THERE.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE})
