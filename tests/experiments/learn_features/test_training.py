"""An interrupted training ends as one that is not interrupted."""

import errno
import io
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learn_features import training
from hcft_jax.util.errors import InputError, StorageError

FIRST = {"a": jnp.ones(3), "b": {"kernel": jnp.full((2, 2), 2.0)}}


def step(params: Any, index: int) -> Any:
    """A quadratic whose minimum depends on the step."""
    wanted = np.random.default_rng(index).standard_normal(3).astype(np.float32)

    def loss(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        value = jnp.sum(jnp.square(params["a"] - wanted)) + jnp.sum(
            jnp.square(params["b"]["kernel"])
        )
        return value, {"part": value}

    return jax.value_and_grad(loss, has_aux=True)(params)


def run(folder: Path, steps: int, function: Any = step, total: int = 12) -> Any:
    optimiser = training.adam(0.1, total)
    return training.run(folder, FIRST, optimiser, function, steps, every=4)


def interrupted(at: int) -> Any:
    def until(params: Any, index: int) -> Any:
        if index == at:
            raise KeyboardInterrupt
        return step(params, index)

    return until


@pytest.mark.parametrize("at", [1, 4, 7, 11])
def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path, at: int) -> None:
    whole = run(tmp_path / "whole", 12)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", 12, interrupted(at))
    parts = run(tmp_path / "parts", 12)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(np.asarray(whole["a"]), np.ones(3))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    whole = run(tmp_path, 12)
    again = run(tmp_path, 12, interrupted(0))
    np.testing.assert_array_equal(np.asarray(whole["a"]), np.asarray(again["a"]))


def test_checkpoints_of_another_network_are_refused(tmp_path: Path) -> None:
    run(tmp_path, 4)
    other = {"a": jnp.ones(5)}
    with pytest.raises(InputError, match="of another training"):
        training.run(tmp_path, other, training.adam(0.1, 12), step, 12)


def test_a_loss_that_is_not_finite_stops_it(tmp_path: Path) -> None:
    def bad(params: Any, index: int) -> Any:
        (value, parts), slope = step(params, index)
        return (value * jnp.nan, parts), slope

    with pytest.raises(InputError, match="step 0: the loss is nan"):
        run(tmp_path, 4, bad)


def test_the_log_is_readable_by_tensorboard(tmp_path: Path) -> None:
    run(tmp_path, 12)
    (events,) = (tmp_path / "logs").glob("events.out.tfevents.*")
    assert b"part" in events.read_bytes()


def test_what_a_killed_training_was_saving_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / "4.orbax-checkpoint-tmp"
    left.mkdir(parents=True)
    run(tmp_path, 4)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["4"]
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("RESOURCE_EXHAUSTED: Error writing 'b/0'"), StorageError),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), StorageError),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)), InputError),
        (ValueError("NOT_FOUND: a folder"), InputError),
    ],
)
def test_a_checkpoint_that_cannot_be_saved_is_one_line(
    tmp_path: Path, error: Exception, kind: type[InputError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("orbax.checkpoint.CheckpointManager.save", save)
    with pytest.raises(InputError, match="checkpoints: cannot save a checkpoint") as raised:
        run(tmp_path, 4)
    assert type(raised.value) is kind


def test_what_other_threads_print_is_not_heard_where_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)

    def told(text: str) -> None:
        thread = threading.Thread(target=lambda: print(text, file=sys.stderr))
        thread.start()
        thread.join()

    with training.unheard():
        told("while it is saved")
    told("of somebody else")
    with pytest.raises(ValueError, match="not saved"), training.unheard():
        raise ValueError("not saved")
    told("of a thread that goes on")
    print("the error's line", file=sys.stderr, flush=True)
    assert heard.getvalue() == "of somebody else\nthe error's line\n"


def test_the_learning_rate_rises_and_falls() -> None:
    rate = training.schedule(1.0, 100)
    assert float(rate(0)) < 0.1
    assert float(rate(5)) == pytest.approx(1.0)
    assert float(rate(99)) < 0.1


@pytest.mark.parametrize("name", ["absl", "asyncio"])
def test_what_orbax_prints_is_not_heard_where_it_fails(name: str) -> None:
    logger, heard = logging.getLogger(name), io.StringIO()
    levels = {one: one.level for one in map(logging.getLogger, ("absl", "asyncio"))}
    handler = logging.StreamHandler(heard)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        with training.unheard():
            logger.error("in a thread")
        assert logger.level == logging.WARNING
        logger.error("of somebody else")
        with pytest.raises(ValueError, match="not saved"), training.unheard():
            raise ValueError("not saved")
        logger.error("a task that is forgotten")
    finally:
        logger.removeHandler(handler)
        for one, level in levels.items():
            one.setLevel(level)
    assert heard.getvalue() == "of somebody else\n"
