"""The constants: their ranges, the loss, its gradient, and learning that can be interrupted."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.learn_hyper import constants
from experiments.learn_hyper.constants import LEARNED, Learner, LearnerState
from experiments.learn_hyper.snippets import Snippet, Snippets
from hcft_jax.backbones.backbone import Params
from hcft_jax.core.config import TrackerConfig
from hcft_jax.util.errors import InputError
from tests.experiments.learn_hyper.conftest import drawn_sequence


@pytest.fixture(scope="module")
def snippets(params: Params, start: TrackerConfig) -> Snippets:
    return Snippets([drawn_sequence()], params, start, 3)


@pytest.fixture(scope="module")
def drawn(snippets: Snippets) -> list[Snippet]:
    return snippets.draw(0, 0, 2)


def test_unmoved_constants_are_those_of_the_start(start: TrackerConfig) -> None:
    found = constants.values(constants.moved(start, constants.unmoved(start)))
    expected = constants.values(dataclasses.replace(start, eta=(0.01, 0.01)))
    assert found == expected
    assert found["gamma"] == [1.0, 0.5]


@given(st.lists(st.floats(-20, 20), min_size=7, max_size=7))
def test_no_move_leaves_the_range(moves: list[float]) -> None:
    start = TrackerConfig(layers=("conv1_2", "conv2_1"), gamma=(0.5, 1.0), eta=(0.01, 0.5))
    u = np.array(moves, np.float32)
    given_ = {"gamma": u[:2], "eta": u[2:4], "lambda_": u[4:5], "sigma": u[5:6]}
    found = constants.values(constants.moved(start, given_ | {"temperature": u[6:]}))
    assert found["gamma"][1] == 1.0, "the deepest layer's stays, wherever it stands"
    changes: dict[str, Any] = {name: found[name][0] for name in LEARNED[2:]}
    changes |= {"eta": tuple(found["eta"]), "gamma": tuple(found["gamma"])}
    dataclasses.replace(start, **changes).validate()


def test_each_constant_moves_by_its_own_number(start: TrackerConfig) -> None:
    u = constants.unmoved(start) | {"eta": jnp.asarray([0.0, np.log(3.0)], jnp.float32)}
    u |= {"sigma": jnp.asarray([np.log(2.0)], jnp.float32)}
    found = constants.values(constants.moved(start, u))
    assert found["eta"] == [0.01, pytest.approx(0.03 / 1.02, rel=1e-5)]  # thrice the odds
    assert found["sigma"] == [pytest.approx(0.2, rel=1e-5)]
    assert found["lambda_"] == [1e-4]


def test_the_gradient_is_that_of_the_loss(
    params: Params, start: TrackerConfig, drawn: list[Snippet]
) -> None:
    def at(moves: constants.Moves) -> float:
        (value, count), _ = constants.gradient(params, start, moves, drawn[0])
        assert count == 3
        return float(value)

    moves = constants.unmoved(start)
    _, slope = constants.gradient(params, start, moves, drawn[0])
    assert float(slope["gamma"][0]) == 0.0, "the deepest layer's gamma is not learned"
    for name in LEARNED:
        assert any(np.asarray(slope[name]) != 0), name
    size = jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(slope)))
    step = 0.02
    ahead, behind = (
        at({n: moves[n] + sign * step * slope[n] / size for n in LEARNED}) for sign in (1, -1)
    )
    assert (ahead - behind) / (2 * step) == pytest.approx(float(size), rel=0.02)


def test_a_wider_filter_is_not_given_a_wider_label(
    params: Params, start: TrackerConfig, drawn: list[Snippet]
) -> None:
    moves = constants.unmoved(start)
    wide = moves | {"sigma": jnp.full(1, 3.0, jnp.float32)}
    (own, _), _ = constants.gradient(params, start, wide, drawn[0])
    wider = dataclasses.replace(start, sigma=start.sigma * float(np.exp(3.0)))
    (both, _), _ = constants.gradient(params, wider, moves, drawn[0])
    assert own > 10 * both, "a label as wide as the filter's would be matched by anything"


def test_a_target_out_of_the_window_counts_nothing(
    params: Params, start: TrackerConfig, drawn: list[Snippet]
) -> None:
    centres = drawn[0].centres.copy()
    centres[1] = np.nan
    centres[2] += 1000
    (_, count), slope = constants.gradient(
        params, start, constants.unmoved(start), drawn[0]._replace(centres=centres)
    )
    assert count == 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_the_loss_falls_from_bad_values(
    params: Params, start: TrackerConfig, drawn: list[Snippet]
) -> None:
    bad = dataclasses.replace(start, gamma=(1.0, 10.0), eta=0.9, lambda_=100.0)
    learner = Learner(params, bad, 0.3)
    state = learner.begin()
    for _ in range(8):
        state = learner.step(state, drawn)
    assert state.losses[-1] < 0.8 * state.losses[0]
    found = constants.values(state.config(bad))
    assert found["gamma"][1] < 10.0
    assert max(found["eta"]) < 0.9


def learned(learner: Learner, state: LearnerState, snippets: Snippets, steps: int) -> LearnerState:
    while state.step < steps:
        state = learner.step(state, snippets.draw(1, state.step, 1))
    return state


def test_interrupted_learning_ends_as_if_it_had_not_been(
    params: Params, start: TrackerConfig, snippets: Snippets, tmp_path: Path
) -> None:
    whole = learned(Learner(params, start, 0.1), Learner(params, start, 0.1).begin(), snippets, 4)
    before = Learner(params, start, 0.1)
    before.save(tmp_path / "s.npz", learned(before, before.begin(), snippets, 2), {"seed": 1})
    after = Learner(params, start, 0.1)
    kept = after.load(tmp_path / "s.npz", {"seed": 1})
    assert kept.step == 2
    state = learned(after, kept, snippets, 4)
    np.testing.assert_array_equal(state.losses, whole.losses)
    for name in LEARNED:
        np.testing.assert_array_equal(state.moves[name], whole.moves[name])
        assert len(state.moves[name]) == 5


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(
    params: Params, start: TrackerConfig, tmp_path: Path
) -> None:
    learner, path = Learner(params, start, 0.1), tmp_path / "s.npz"
    learner.save(path, learner.begin(), {"seed": 1, "batch": 2})
    with pytest.raises(InputError, match=r"s\.npz: learned with another seed; give another"):
        learner.load(path, {"seed": 2, "batch": 2})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"s\.npz: cannot continue from it"):
        learner.load(path, {"seed": 1, "batch": 2})


def test_steps_that_leave_the_numbers_are_refused(
    params: Params, start: TrackerConfig, drawn: list[Snippet]
) -> None:
    learner = Learner(params, start, 1e6)
    state = learner.step(learner.begin(), drawn[:1])
    with pytest.raises(InputError, match=r"step 2: .* give a smaller --learning_rate"):
        learner.step(state, drawn[:1])
