"""HCFT (Ma et al., ICCV 2015) as one compiled, batched, differentiable JAX program."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hcft_jax.api import Result, Track, Tracker, TrackError

__all__ = ["Result", "Track", "TrackError", "Tracker"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # only now: the evaluation is used without JAX, and it is part of the same package
    if name in __all__:
        from hcft_jax import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
