"""Sweeps: lists of experiments, shipped ones (``configs/sweeps``), one's own, and products.

A sweep is a Python file with ``get_sweep()``, as a configuration is one with ``get_config()``::

    from hcft_jax.experiment.sweeps import product

    def get_sweep():
        return product("hcft", eta=(0.01, 0.02), radius=(4, 8))  # hcft,radius=4; hcft; ...

The differences in the table of a sweep are those to its first experiment.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment import config_files, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.errors import InputError


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Experiments of different labels."""

    name: str
    experiments: tuple[Experiment, ...]

    def override(self, changes: dict[str, Any]) -> "Sweep":
        """The sweep with fields of every experiment replaced by name.

        Raises:
            InputError: the sweep gives that field different values itself, or a value is no number
                where the field is one.
        """
        for name in changes:
            own = hasattr(self.experiments[0].tracker, name)
            values = [getattr(e.tracker if own else e, name) for e in self.experiments]
            if any(value != values[0] for value in values):
                given = settings.flag_of(name) if own else name
                raise InputError(f"--{given}: sweep {self.name} gives it different values itself")
        experiments = (settings.override(e, changes) for e in self.experiments)
        return dataclasses.replace(self, experiments=tuple(experiments))

    def validate(self) -> "Sweep":
        """Itself, when every experiment can be run.

        Raises:
            InputError: there is none, two have one label, or a value is out of range.
        """
        if not self.experiments:
            raise InputError(f"sweep {self.name}: no experiment in it")
        seen: set[str] = set()
        for experiment in self.experiments:
            try:
                experiment.validate()
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
    """One experiment for each combination of values, the first field varying slowest.

    Their labels say what differs from the configuration: where all of the values are its own, the
    experiment is the configuration itself, and has its results.

    Args:
        experiment: what is varied: a configuration's name or file, or an experiment.
        **values: fields of ``TrackerConfig`` (``lambda_``), the values of each in their order.

    Raises:
        InputError: an unknown configuration or field, or a value that is no number.
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
    return [
        settings.override(experiment, dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]


def available() -> list[str]:
    """The names of the shipped sweeps."""
    return list(config_files.available("sweeps"))


def load(name: str) -> Sweep:
    """The sweep of a name (``ablation``) or Python file (``my/sweep.py``), not yet validated.

    Raises:
        InputError: no such sweep (near ones are listed), or the file has no ``get_sweep()`` that
            returns experiments.
    """
    path = config_files.locate(name, "--sweep", config_files.available("sweeps"))
    experiments = config_files.execute(path, "get_sweep")
    whole = isinstance(experiments, list | tuple) and experiments
    if not whole or not all(isinstance(e, Experiment) for e in experiments):
        raise InputError(f"{path}: get_sweep() must return a list of Experiments")
    return Sweep(path.stem, tuple(experiments))
