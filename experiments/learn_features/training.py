"""A training that may be killed at any time: optax steps, orbax checkpoints, TensorBoard logs.

The data of a step depend on the seed and the step's number alone, so a training that continues
from a checkpoint ends with the same parameters as one that was never stopped.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from tqdm.auto import tqdm

from hcft_jax.util.errors import InputError

Params = Any


class Trained(NamedTuple):
    """The state of a training after some steps."""

    params: Params
    optimiser: Any  # optax's state
    step: int


Step = Callable[[Params, int], tuple[tuple[jax.Array, Mapping[str, jax.Array]], Params]]


def schedule(rate: float, steps: int) -> optax.Schedule:
    """Return a rate that rises over the first twentieth of the steps, then falls as a cosine."""
    return optax.warmup_cosine_decay_schedule(
        rate / 50, rate, max(1, steps // 20), max(2, steps), end_value=rate / 50
    )


def adam(rate: float, steps: int, decay: float = 1e-4) -> optax.GradientTransformation:
    """Return AdamW under ``schedule``, with gradients clipped to norm 1."""
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule(rate, steps), weight_decay=decay),
    )


def run(
    folder: Path,
    params: Params,
    optimiser: optax.GradientTransformation,
    step: Step,
    steps: int,
    *,
    every: int = 200,
    title: str = "training",
) -> Params:
    """Train, from the newest checkpoint in ``folder`` if there is one; return the parameters.

    The folder gets ``checkpoints/``, one after ``every`` steps, and ``logs/`` (``tensorboard
    --logdir``). ``step`` maps parameters and a step's number, from 0, to (loss, parts by name) and
    a gradient; ``steps`` is the number of steps in all.

    Raises:
        InputError: orbax or tensorboardX is not installed, or the checkpoints are of another
            network.
    """
    try:
        import orbax.checkpoint as ocp
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(f"training needs {error.name}: pip install 'hcft_jax[learn]'") from error

    @jax.jit
    def applied(params: Params, state: Any, gradient: Params) -> tuple[Params, Any]:
        with jax.numpy_dtype_promotion("standard"):  # optax promotes its step counter
            updates, state = optimiser.update(gradient, state, params)
            return optax.apply_updates(params, updates), state

    now = Trained(params, optimiser.init(params), 0)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    with ocp.CheckpointManager((folder / "checkpoints").resolve(), options=options) as manager:
        if (latest := manager.latest_step()) is not None:
            like = jax.tree.map(np.asarray, now._asdict())
            try:
                kept = manager.restore(latest, args=ocp.args.StandardRestore(like))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{folder}: its checkpoints are of another training; give another --output_dir"
                ) from error
            now = Trained(**jax.tree.map(jax.numpy.asarray, kept))
        params, state, first = now.params, now.optimiser, int(now.step)
        logs = str(folder / "logs")
        with (
            SummaryWriter(logs, purge_step=first) as writer,
            tqdm(total=steps, initial=first, desc=title, unit="step", mininterval=2.0) as bar,
        ):
            for index in range(first, steps):
                (value, parts), gradient = step(params, index)
                params, state = applied(params, state, gradient)
                if index % 20 == 0:
                    if not np.isfinite(value):
                        raise InputError(
                            f"step {index}: the loss is {value}; try a lower --learning_rate"
                        )
                    bar.set_postfix_str(f"loss {float(value):.4f}", refresh=False)
                    writer.add_scalar("loss", float(value), index)
                    for name, part in parts.items():
                        writer.add_scalar(name, float(part), index)
                bar.update()
                if (index + 1) % every == 0 or index + 1 == steps:
                    made = Trained(params, state, index + 1)._asdict()
                    manager.save(index + 1, args=ocp.args.StandardSave(made))
    return params
