"""Strict numerics for every test, and the third-party data that some of them read."""

import atexit
import functools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What one test has compiled serves the others: of both processes, and of commands that tests start.
# JAX reads these when it is imported.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _programs = tempfile.mkdtemp(prefix="hcft-tests-")
    atexit.register(shutil.rmtree, _programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import hypothesis
import jax
import pytest

from hcft_jax import main
from hcft_jax.backbones.vgg import Params
from hcft_jax.weights import lookup

# no test depends on how busy the machine is
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# a shell's background job ignores Ctrl-C, which tests send to themselves and to commands
signal.signal(signal.SIGINT, signal.default_int_handler)

main.define_flags()  # tests run the main command in this process, on absl's own flags

jax.config.update("jax_num_cpu_devices", 2)  # so that what is spread over devices is tested
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

SHARED = Path(os.environ.get("HCFT_SHARED", Path(__file__).parents[2] / "shared")).resolve()


def shared(*parts: str) -> Path:
    """A path in the shared folder; the test is skipped, with the reason, where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there (third-party data: set HCFT_SHARED)")
    return path


# Sequences of the shared folder that came later: they are in none of the tables of 17 targets.
LATER = {"Bird1", "Dancer2", "Dog", "KiteSurf"}


@pytest.fixture(scope="session")
def params() -> Params:
    """Untrained VGG-19 parameters, the same everywhere: enough for whatever needs no accuracy."""
    return jax.device_put(lookup.random().params)


@pytest.fixture(scope="module")
def random_weights_drawn_once() -> Iterator[None]:
    """Drawing the 20 million random parameters once is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "random", functools.cache(lookup.random))
        yield


@pytest.fixture(scope="session")
def imagenet() -> Params:
    """The trained parameters."""
    return jax.device_put(lookup.load(shared("weights", "vgg19_imagenet.npz")).params)


@pytest.fixture(params=[True, False], ids=["jit", "eager"])
def maybe_jit(request: pytest.FixtureRequest) -> Any:
    """``jax.jit``, or its absence: numeric tests run under both."""
    return jax.jit if request.param else lambda function, **_: function
