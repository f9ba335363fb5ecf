"""The filter's constants, learned by gradient through the unrolled tracker.

These are gamma, eta (one per layer), lambda, sigma, and the temperature of the loss
(``differentiable.cross_entropy``). A real number u, which begins at 0, moves each value from its
start: e^u multiplies the odds eta / (1 - eta) of a learning rate, and every other value itself. So
no value leaves its range. The gamma of the deepest layer stays as it is, since only ratios decide
where a maximum is, and the temperature has their scale.

The label that responses are compared with keeps the sigma of the start. If it became wider along
with the filter's own, the loss would be least for a filter that answers the same everywhere.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import differentiable, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.util import npz, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing

from .snippets import Snippet

LEARNED = ("gamma", "eta", "lambda_", "sigma", "temperature")

Moves = dict[str, jax.Array]  # by field of TrackerConfig: u of each of its numbers


def unmoved(start: TrackerConfig) -> Moves:
    """Return u = 0 for every value: gamma and eta ``[L]``, the others ``[1]``."""
    layers = len(start.layers)
    return {n: jnp.zeros(layers if n in ("gamma", "eta") else 1, jnp.float32) for n in LEARNED}


def moved(start: TrackerConfig, moves: Mapping[str, Any]) -> TrackerConfig:
    """Return the constants that moves lead to, with one eta per layer."""
    gamma: Any = tuple(
        weight if name == start.deepest_first[0] else weight * jnp.exp(moves["gamma"][i])
        for i, (name, weight) in enumerate(zip(start.layers, start.gamma, strict=True))
    )
    rates = start.eta if isinstance(start.eta, tuple) else (start.eta,) * len(start.layers)
    odds = [rate * jnp.exp(moves["eta"][i]) for i, rate in enumerate(rates)]
    eta: Any = tuple(up / (1.0 - rate + up) for rate, up in zip(rates, odds, strict=True))
    lambda_, sigma, temperature = (
        getattr(start, name) * jnp.exp(moves[name][0]) for name in LEARNED[2:]
    )
    return dataclasses.replace(
        start, gamma=gamma, eta=eta, lambda_=lambda_, sigma=sigma, temperature=temperature
    )


def values(config: TrackerConfig) -> dict[str, list[float]]:
    """Return the learned values of a configuration by field, as plain numbers of six digits.

    Files and commands hold these numbers as they are here, so that both mean the same results.
    """
    found = {}
    for name in LEARNED:
        value = getattr(config, name)
        several = value if isinstance(value, tuple) else (value,)
        found[name] = [float(f"{float(v):.6g}") for v in several]
    return found


def loss(
    params: Params, start: TrackerConfig, moves: Moves, snippet: Snippet
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of a snippet, summed over the frames that count, and their number.

    No gradient goes through ``params``, which are from ``Backbone.placed``.
    """
    config = moved(start, moves)
    state = tracker.start(params, config, snippet.target, snippet.images[0], snippet.position)
    seen = differentiable.unroll(params, config, state, jnp.asarray(snippet.images[1:]))
    judged = dataclasses.replace(config, sigma=start.sigma)
    each = differentiable.cross_entropy(judged, snippet.target, seen, jnp.asarray(snippet.centres))
    # exactly 0 only where the target has left the search window; such a frame does not count
    return jnp.sum(each), jnp.count_nonzero(each)


gradient = jax.jit(jax.value_and_grad(loss, argnums=2, has_aux=True))


@dataclass(frozen=True)
class LearnerState:
    """The state of the learning after n steps."""

    moves: dict[str, npt.NDArray[np.float32]]  # [n + 1, ...] by field: at the start, by each step
    losses: npt.NDArray[np.float64]  # [n] mean loss per frame of each step's snippets, before it
    optimiser: Any  # optax's

    @property
    def step(self) -> int:
        """The number of steps, n."""
        return len(self.losses)

    def config(self, start: TrackerConfig, step: int = -1) -> TrackerConfig:
        """Return the constants after a step, by default the last one."""
        return moved(start, {name: of[step] for name, of in self.moves.items()})


class Learner:
    """Adam (Kingma and Ba, 2015) on the mean loss of snippets."""

    def __init__(self, params: Params, start: TrackerConfig, learning_rate: float) -> None:
        """Take the network's parameters, the start, and the size of a step in u."""
        self._params, self._start = params, start
        self._optimiser = optax.adam(learning_rate)
        self._update = jax.jit(self._optimiser.update)

    def begin(self) -> LearnerState:
        """Return the state before the first step."""
        moves = unmoved(self._start)
        trace = {name: np.asarray(of)[None] for name, of in moves.items()}
        return LearnerState(trace, np.zeros(0), self._optimiser.init(moves))

    def step(self, state: LearnerState, snippets: Iterable[Snippet]) -> LearnerState:
        """Take one step, snippet by snippet; each frame of them has the same weight.

        Raises:
            InputError: the loss or its gradient is not finite.
        """
        moves = {name: jnp.asarray(of[-1]) for name, of in state.moves.items()}
        total, count, summed = 0.0, 0, jax.tree.map(jnp.zeros_like, moves)
        for snippet in snippets:
            (part, frames), slope = gradient(self._params, self._start, moves, snippet)
            total, count = total + float(part), count + int(frames)
            summed = jax.tree.map(jnp.add, summed, slope)
        mean = jax.tree.map(lambda g: g / np.float32(max(count, 1)), summed)
        if not all(np.isfinite(leaf).all() for leaf in [total, *jax.tree.leaves(mean)]):
            raise InputError(
                f"step {state.step + 1}: the loss or its gradient is not finite: give a smaller "
                "--learning_rate, and another --output_dir"
            )
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to the power of a count
            updates, optimiser = self._update(mean, state.optimiser)
        moves = optax.apply_updates(moves, updates)
        trace = {
            n: np.concatenate([of, np.asarray(moves[n])[None]]) for n, of in state.moves.items()
        }
        return LearnerState(trace, np.append(state.losses, total / max(count, 1)), optimiser)

    def save(self, path: Path, state: LearnerState, settings: Mapping[str, Any]) -> None:
        """Write a state, complete or not at all, with the plain settings that it depends on.

        Raises:
            InputError: it cannot be written there.
        """
        leaves = jax.tree.leaves(state.optimiser)
        arrays: dict[str, Any] = {f"moves/{name}": of for name, of in state.moves.items()}
        arrays |= {f"optimiser/{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, settings=np.array(_plain(settings)), losses=state.losses, **arrays)

    def load(self, path: Path, settings: Mapping[str, Any]) -> LearnerState:
        """Read a state that ``save`` wrote.

        Raises:
            InputError: the file is damaged, or was learned with other settings.
        """
        begun = self.begin()
        leaves, structure = jax.tree.flatten(begun.optimiser)
        try:
            file = npz.read(path, opening.WEIGHTS)
            own = dict(json.loads(str(file["settings"])))
            moves = {name: file[f"moves/{name}"] for name in LEARNED}
            losses = file["losses"]
            leaves = [jnp.asarray(file[f"optimiser/{i}"]) for i in range(len(leaves))]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: cannot continue from it ({error}); remove it") from error
        wanted = json.loads(_plain(settings))
        if other := sorted(k for k in own.keys() | wanted if own.get(k) != wanted.get(k)):
            raise InputError(
                f"{path}: learned with another {', '.join(other)}; give another --output_dir"
            )
        return LearnerState(moves, losses, jax.tree.unflatten(structure, leaves))


def _plain(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
