"""Command-line flags made from the fields of configurations, and what follows from them."""

import dataclasses
import shlex
import sys
import typing
from collections.abc import Collection, Iterator
from typing import Any

from absl import flags

from hcft_jax.backbones import registry
from hcft_jax.core.choices import TrackerConfig
from hcft_jax.experiment import config_files, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.video_settings import OwnVideo
from hcft_jax.util.flag_groups import FlagGroup

_TITLES = {
    Experiment: "Sequences and results",
    OwnVideo: "A video of your own",
    TrackerConfig: "The tracker",
}  # in the order of --help


def _settable() -> Iterator[tuple[str, "dataclasses.Field[Any]", Any]]:
    """Yield the flag, field and type of all that has a help text."""
    for owner in (TrackerConfig, Experiment, OwnVideo):
        types = typing.get_type_hints(owner)
        for field in dataclasses.fields(owner):
            if "help" in field.metadata:
                yield field.metadata.get("flag", field.name), field, types[field.name]


def names(*owners: type) -> set[str]:
    """Return the flags of the tracker (``TrackerConfig``), ``Experiment`` or ``OwnVideo``.

    Args:
        *owners: Of which of them.
    """
    return {name for name, field, _ in _settable() if field in _fields(*owners)}


def define(into: flags.FlagValues = flags.FLAGS, only: Collection[str] | None = None) -> None:
    """Define a flag for each field of the tracker and the experiment that has a help text.

    Args:
        into: Where the flags go.
        only: The names of those wanted. None: all of them.
    """
    for owner, title in _TITLES.items():
        group = FlagGroup(into, title)
        simple: dict[Any, Any] = {
            float: group.real,
            float | None: group.real,
            int: group.whole,
            int | None: group.whole,
            bool: group.switch,
        }
        for name, field, kind in _settable():
            if field not in _fields(owner) or (only is not None and name not in only):
                continue
            add = simple.get(kind, group.text)
            if typing.get_origin(kind) is tuple or kind == float | tuple[float, ...]:
                add = group.many
            shown = "" if field.default in (None, (), False) else _shown(field.default)
            add(name, None, meaning=field.metadata["help"], shown=shown)


def config(into: flags.FlagValues, default: str) -> None:
    """Define the flag that names a configuration.

    Args:
        into: Where the flag goes.
        default: Its default.
    """
    FlagGroup(into, "Where to begin").text("config", default)


def experiment(given: flags.FlagValues = flags.FLAGS) -> Experiment:
    """Return the configuration that --config names, with the fields that other flags set.

    Args:
        given: The flags.

    Raises:
        InputError: an unknown configuration, or a value that no tracker can have.
    """
    named = settings.override(settings.load(given.config), changes(given)).validate()
    return equipped(named)


def changes(given: flags.FlagValues = flags.FLAGS) -> dict[str, Any]:
    """Return the fields that flags set: name to value."""
    known = (item for item in _settable() if item[0] in given)
    values = {field.name: given[name].value for name, field, _ in known}
    return {
        name: _listed(value) if isinstance(value, list) else value
        for name, value in values.items()
        if value is not None
    }


def _listed(values: list[str]) -> tuple[str, ...]:
    """Return the values of a list, which may end with a comma."""
    return tuple(values[:-1] if len(values) > 1 and not values[-1].strip() else values)


def equipped(experiment: Experiment) -> Experiment:
    """Return the experiment with a tracker whose weights are at hand.

    That concerns configurations that are to run on any machine (``otherwise``), and only where
    neither --backbone nor --weights says what is wanted. Then what the other configuration sets is
    set, but for what a flag has set. A line on stderr says so.
    """
    from hcft_jax.weights import lookup

    own = experiment.tracker.backbone
    chosen = experiment.weights is not None or "backbone" in experiment.changes
    if experiment.otherwise is None or chosen or lookup.at_hand(own):
        return experiment
    fields = config_files.available()[experiment.otherwise]
    other = settings.override(
        experiment, {name: v for name, v in fields.items() if name not in experiment.changes}
    )
    network = registry.get(own)
    print(
        f"note: no {network.title} weights here, so this is --config={experiment.otherwise}'s "
        f"tracker, on {other.tracker.network.title}, which is installed with this package; for "
        f"{network.title}: python -m hcft_jax.weights fetch, or --weights=FILE",
        file=sys.stderr,
    )
    return other


def command(experiment: Experiment, config: str | None = None) -> str | None:
    """Return the command that runs one experiment; None if its configuration is not known.

    Args:
        experiment: What is run.
        config: The name or file of its configuration; None: the shipped one of its name.
    """
    if config is None and experiment.name not in config_files.available():
        return None
    config = config or experiment.name
    shipped = settings.load(config)
    if (experiment.base, experiment.synthetic) != (shipped.tracker, shipped.synthetic):
        return None
    words = ["python", "-m", "hcft_jax.main", f"--config={config}"]
    for name, field, _ in _settable():
        value, default = (_value(e, field.name) for e in (experiment, shipped))
        if value == default:
            continue
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no'}{name}")
        else:
            words.append(f"--{name}={_shown(value)}")
    return shlex.join(words)


def _fields(*owners: type) -> "list[dataclasses.Field[Any]]":
    return [field for owner in owners for field in dataclasses.fields(owner)]


def _value(experiment: Experiment, field: str) -> Any:
    owners = (experiment.tracker, experiment, experiment.own or OwnVideo())
    return getattr(next(owner for owner in owners if hasattr(owner, field)), field)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
