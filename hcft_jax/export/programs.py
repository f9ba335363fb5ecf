"""The tracker as programs that run without this package: StableHLO, by ``jax.export``.

OUTPUT_DIR has ``begin.jaxexport`` (from a first box to what it fixes), ``init.jaxexport`` and
``step.jaxexport``, ``weights.npz``, ``manifest.json`` and ``exported.py``, which runs them with JAX
and NumPy alone. Boxes and image sizes are data, up to the sizes that are given. The constants
(gamma, eta, ...) are part of the programs. JAX promises to run them for at least six months.
"""

import dataclasses
import hashlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones import registry
from hcft_jax.backbones.products import PRECISIONS
from hcft_jax.core import sampling, scale, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import PAPER, Layout
from hcft_jax.core.target import Bucket, placed_and_fixed
from hcft_jax.evaluation.results import write_json
from hcft_jax.export import exported
from hcft_jax.run.environment import versions
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.files import replacing
from hcft_jax.weights.native import Weights

PLATFORMS = ("cpu", "cuda")
WEIGHTS = "weights.npz"
Arrays = dict[str, Any]


def write(
    folder: str | Path,
    tracker_config: TrackerConfig,
    weights: Weights,
    bucket: Bucket,
    platforms: Sequence[str] = PLATFORMS,
) -> dict[str, Any]:
    """Write the programs of a configuration; return the manifest, which is written last.

    Args:
        folder: where to write.
        tracker_config: the tracker's constants.
        weights: the network's.
        bucket: the largest image and grid.
        platforms: JAX's names: cpu, cuda, rocm, tpu.

    Raises:
        InputError: ``dft="fft"``, a set ``grid``, bfloat16 or bfloat16x3, no flatbuffers, or a
            folder that cannot be written to.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError("jax.export needs flatbuffers: pip install 'hcft_jax[export]'")
    if tracker_config.dft == "fft":
        raise SettingError("dft", "only matmul has sizes that are data, not fft")
    if tracker_config.grid is not None:
        raise SettingError("grid", "exported programs have cells of 4 px; leave it out")
    # each platform does bfloat16 in its own way; kernels in parts would be files of thrice the size
    if PRECISIONS[tracker_config.precision].parts:
        raise SettingError("precision", "exported programs compute in float32 or tf32")
    params = weights.params
    if tuple(platforms) == ("cpu",):  # else the form that all platforms take
        params = registry.get(tracker_config.backbone).prepared(params)
    arrays, rebuilt = _flat(params)
    shapes = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in arrays.items()}
    programs = _programs(tracker_config, bucket, rebuilt, shapes, platforms)
    files = {f"{name}.jaxexport": data for name, data in programs.items()}
    files["exported.py"] = Path(exported.__file__).read_bytes()
    manifest: dict[str, Any] = {
        "image": list(bucket.image),
        "grid": list(bucket.grid),
        "platforms": list(platforms),
        "tracker": dataclasses.asdict(tracker_config),
        "weights": {"digest": weights.digest, **weights.metadata},
        "versions": versions(),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    for name, data in files.items():
        with replacing(Path(folder, name)) as temporary:
            temporary.write_bytes(data)
    with replacing(Path(folder, WEIGHTS)) as temporary:
        np.savez(temporary, **arrays)
        with temporary.open("rb") as file:
            manifest["sha256"][WEIGHTS] = hashlib.file_digest(file, "sha256").hexdigest()
    write_json(Path(folder, "manifest.json"), manifest)
    return manifest


def _programs(
    tracker_config: TrackerConfig,
    bucket: Bucket,
    rebuilt: Callable[[Arrays], Any],
    shapes: dict[str, jax.ShapeDtypeStruct],
    platforms: Sequence[str],
) -> dict[str, bytes]:
    """Return the three programs, serialized; their inputs and outputs are lists and dicts."""
    params = rebuilt(shapes)
    side = tracker_config.input_shape(params)
    maps = sorted(tracker.map_sizes(params, tracker_config))
    box, size = jax.ShapeDtypeStruct((4,), np.float32), jax.ShapeDtypeStruct((2,), np.int32)
    image = jax.ShapeDtypeStruct((*bucket.image, 3), np.uint8)

    def fixed(box: jax.Array, size: jax.Array) -> Any:
        return placed_and_fixed(
            box, size, side, maps, bucket, tracker_config.layout, tracker_config.precision
        )

    def begin(box: jax.Array, size: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        target, position = fixed(box, size)
        return jax.tree.leaves((target, position)), jnp.asarray(target.transform.grid)

    def init(weights: Arrays, image: jax.Array, leaves: list[jax.Array]) -> list[jax.Array]:
        target, position = jax.tree.unflatten(begun_as, leaves)
        state = tracker.start(rebuilt(weights), tracker_config, target, image, position)
        return jax.tree.leaves(state)

    def step(
        weights: Arrays, leaves: list[jax.Array], image: jax.Array
    ) -> tuple[list[jax.Array], jax.Array, jax.Array, jax.Array]:
        state = jax.tree.unflatten(state_as, leaves)
        state, output = tracker.step(rebuilt(weights), tracker_config, state, image)
        return jax.tree.leaves(state), output.box, output.psr, output.lost

    with jax.enable_x64(True):  # as the tracker makes them, in float64
        begun, begun_as = jax.tree.flatten(jax.eval_shape(fixed, box, size))
        first = jax.export.export(jax.jit(begin), platforms=platforms)(box, size)
    target, position = jax.tree.unflatten(begun_as, begun)
    state, state_as = jax.tree.flatten(
        jax.eval_shape(tracker.start, params, tracker_config, target, image, position)
    )
    second = jax.export.export(jax.jit(init), platforms=platforms)(shapes, image, begun)
    third = jax.export.export(jax.jit(step), platforms=platforms)(shapes, state, image)
    every = {"begin": first, "init": second, "step": third}
    return {name: bytes(program.serialize()) for name, program in every.items()}


def _flat(params: Any) -> tuple[Arrays, Callable[[Arrays], Any]]:
    """Return parameters as arrays by name (``conv1_1/kernel``), and the way back."""
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    names = ["/".join(str(key.key) for key in path) for path, _ in paths]
    arrays = {name: leaf for name, (_, leaf) in zip(names, paths, strict=True)}
    return arrays, lambda given: jax.tree.unflatten(structure, [given[name] for name in names])


def largest(image: tuple[int, int], target: tuple[float, float], layout: Layout = PAPER) -> Bucket:
    """Return the sizes that hold every target up to (h, w) pixels in images up to (H, W).

    Args:
        image: (H, W).
        target: (h, w).
        layout: the configuration's.

    Raises:
        InputError: a size is not positive, or the target is larger than the image.
    """
    if min(image) < 1 or not 0 < min(target) < math.inf:
        raise SettingError("image", f"{image}, and the target {target} px, must be above zero")
    if any(t > i for t, i in zip(target, image, strict=True)):
        raise SettingError("target", f"{target} px (h, w) is larger than the image, {image} px")
    times = layout.padding or sampling.PADDED
    window = math.floor(times * target[0]), math.floor(times * target[1])
    grid = window[0] // layout.cell, window[1] // layout.cell
    sample = scale.LONGEST, scale.LONGEST
    if layout.own:
        return Bucket(image, grid, window, window, sample)
    return Bucket(image, grid, sample=sample)
