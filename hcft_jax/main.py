"""Track sequences with HCFT and score the result: the main job.

python -m hcft_jax.main --config=otb --data_dir=OTB100 [--sequences=Deer,Girl] \
    [--protocols=ope,tre,sre --annotations=DIR] [--overlay]

--config names a shipped configuration (hcft, cf2, otb, demo, c5, c4, c3, c5_c4, c543, first_layer,
slow_update, and on AlexNet's features alex, alex_c5, ...) or a Python file with get_config(). Every
other flag changes one of its fields. Finished sequences are kept, so the same command resumes an
interrupted run.
"""

import dataclasses
import logging
import sys
import typing
from typing import Any

from absl import app, flags

from hcft_jax import benchmark, config, jobs
from hcft_jax.backbones import weights
from hcft_jax.config import Experiment, TrackerConfig
from hcft_jax.errors import InputError
from hcft_jax.outcome import report

_CONFIG = flags.DEFINE_string("config", "hcft", "configuration: a shipped one's name, or a file.py")


def _define_flags() -> dict[str, str]:
    """A flag for each field that has a help text; returns the field each flag sets."""
    names = {}
    for owner in (TrackerConfig, Experiment):
        types = typing.get_type_hints(owner)
        for field in dataclasses.fields(owner):
            if "help" not in field.metadata:
                continue
            name = field.metadata.get("flag", field.name)
            define: Any = {
                float: flags.DEFINE_float,
                int: flags.DEFINE_integer,
                int | None: flags.DEFINE_integer,
                bool: flags.DEFINE_bool,
            }.get(types[field.name], flags.DEFINE_string)
            if typing.get_origin(types[field.name]) is tuple:
                define = flags.DEFINE_list
            default = "" if field.default is None else f" [{_shown(field.default)}]"
            define(name, None, field.metadata["help"] + default)
            names[name] = field.name
    return names


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


_FIELDS = _define_flags()


def experiment_of_flags() -> Experiment:
    """The configuration that --config names, with the fields that other flags set.

    Raises:
        InputError: an unknown configuration, or a value that no tracker can have.
    """
    changes: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        value = flags.FLAGS[name].value
        if value is None:
            continue
        if name == "gamma":
            try:
                value = [float(v) for v in value]
            except ValueError:
                raise InputError(f"--gamma: {','.join(value)!r} is not a list of numbers") from None
        changes[field] = tuple(value) if isinstance(value, list) else value
    experiment = config.override(config.load(_CONFIG.value), changes)
    return experiment.validate()


def main(argv: list[str]) -> int:
    """Runs the experiment that the flags describe; the exit status."""
    try:
        if argv[1:]:
            raise InputError(f"{argv[1]!r}: only flags (--name=value) are understood")
        experiment = experiment_of_flags()
        jobs.find(experiment)  # a wrong folder or name should not wait for the weights
        outcome = benchmark.run(experiment, _weights(experiment))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, the same command goes on", file=sys.stderr)
        return 130
    print(report(outcome))
    print(f"boxes, summary.json and overlays: {outcome.folder}")
    if outcome.failed:
        print(f"error: {len(outcome.failed)} failed: {', '.join(outcome.failed)}", file=sys.stderr)
    return 1 if outcome.failed else 0


def _weights(experiment: Experiment) -> weights.Weights:
    try:
        return weights.find(experiment.weights, experiment.tracker.backbone)
    except InputError as error:
        if experiment.synthetic is None or experiment.weights is not None:
            raise
        # a drawn sequence is easy enough for untrained features, and the demo must always run
        print(f"note: {error}\nnote: going on with untrained features", file=sys.stderr)
        return weights.random(experiment.tracker.backbone)


def run() -> None:
    """The entry point of ``python -m hcft_jax.main`` and of the ``hcft`` command."""
    logging.getLogger("jax").setLevel(logging.WARNING)  # it tells of every absent accelerator
    app.run(main)


if __name__ == "__main__":
    run()
