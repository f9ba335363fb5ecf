"""Sweeps: lists of experiments, shipped ones (``configs/sweeps``), one's own, and products.

A sweep is a Python file with ``get_sweep()``::

    from hcft_jax.experiment.sweeps import product

    def get_sweep():
        return product("hcft", eta=(0.01, 0.02), radius=(4, 8))  # hcft,radius=4; hcft; ...

The table of a sweep shows the differences to its first experiment.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment import config_files, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.errors import InputError, SettingError


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Experiments of different labels."""

    name: str
    experiments: tuple[Experiment, ...]

    def override(self, changes: dict[str, Any]) -> "Sweep":
        """Return the sweep with fields of every experiment replaced by name.

        Raises:
            InputError: the sweep gives that field different values itself, or a value is no number
                where the field is one.
        """
        for name in changes:
            own = hasattr(self.experiments[0].tracker, name)
            values = [getattr(e.tracker if own else e, name) for e in self.experiments]
            if any(value != values[0] for value in values):
                given = settings.flag_of(name) if own else name
                raise SettingError(given, f"sweep {self.name} gives it different values itself")
        experiments = (settings.override(e, changes) for e in self.experiments)
        return dataclasses.replace(self, experiments=tuple(experiments))

    def validate(self) -> "Sweep":
        """Return the sweep itself when every experiment can be run.

        Raises:
            InputError: there is no experiment, two have one label, or a value is out of range.
        """
        if not self.experiments:
            raise InputError(f"sweep {self.name}: no experiment in it")
        seen: set[str] = set()
        for experiment in self.experiments:
            try:
                experiment.validate()
            except SettingError as error:
                text = f"{error.problem} (in {experiment.label})"
                raise SettingError(error.field, text) from error
            except InputError as error:
                raise InputError(f"{experiment.label}: {error}") from error
            key = experiment.label.lower()  # there are file systems without case
            if key in seen:
                raise InputError(
                    f"sweep {self.name}: two experiments are called {experiment.label}; give them "
                    "names: dataclasses.replace(experiment, name=...)"
                )
            seen.add(key)
        return self


def product(experiment: str | Experiment, **values: Sequence[Any]) -> list[Experiment]:
    """Return one experiment for each combination of values, the first field varying slowest.

    Their labels say what differs from the configuration: where all of the values are its own, the
    experiment is the configuration itself, and has its results.

    Args:
        experiment: What is varied: a configuration's name or file, or an experiment.
        **values: Fields of ``TrackerConfig`` (``lambda_``), the values of each in their order.

    Raises:
        InputError: an unknown configuration or field, no list of values, or a value that is no
            number.
    """
    if isinstance(experiment, str):
        experiment = settings.load(experiment)
    known = [f.name for f in dataclasses.fields(TrackerConfig)]
    for name in values:
        if name not in known:
            raise InputError(
                f"product: {name!r} is no field of the tracker ({', '.join(known)}); make such "
                "experiments one by one: dataclasses.replace(experiment, name=..., ...)"
            )
        if isinstance(values[name], str | bytes) or not np.iterable(values[name]):
            raise InputError(f"product: {name}={values[name]!r} must be a list of values")
    return [
        settings.override(experiment, dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]


def available() -> list[str]:
    """Return the names of the shipped sweeps."""
    return config_files.available_sweeps()


def load(name: str) -> Sweep:
    """Return the sweep of a name (``ablation``) or Python file (``my/sweep.py``), not validated.

    Raises:
        InputError: no such sweep (near ones are listed), or the file has no ``get_sweep()`` that
            returns experiments.
    """
    path = config_files.own_file(name, "sweep", available())
    if path is None:
        return Sweep(name, tuple(config_files.shipped_sweep(name).get_sweep()))
    experiments = config_files.execute(path, "get_sweep")
    whole = isinstance(experiments, list | tuple) and experiments
    if not whole or not all(isinstance(e, Experiment) for e in experiments):
        raise InputError(f"{path}: get_sweep() must return a list of Experiments")
    return Sweep(path.stem, tuple(settings.of_file(e, path) for e in experiments))
