"""3 x 3 convolution with 2.25 times fewer multiplications: Winograd's F(2 x 2, 3 x 3).

Two outputs of a three-tap filter take four products instead of six (Lavin and Gray, Fast Algorithms
for Convolutional Neural Networks, CVPR 2016, section 4.1). Nested in both axes, a convolution is
sixteen matrix products of the transformed tiles and kernels. The transforms only add, subtract and
halve: the result is as accurate in float32 as the direct one. (The larger F(4 x 4, 3 x 3) would
lose a digit.) XLA has no such algorithm on CPUs, where it is faster for wide layers on small maps.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

_TILE = 2  # outputs of a tile along an axis
_TAPS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # the paper's G


def transform(kernel: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return G g G^T ``[16, C, K]`` of a kernel ``[3, 3, C, K]``, which is computed only once."""
    g = np.asarray(kernel, np.float64)
    u = np.einsum("ak,klio,bl->abio", _TAPS, g, _TAPS, optimize=True)
    return u.reshape(16, *g.shape[2:]).astype(np.float32)


def convolve(x: jax.Array, transformed: jax.Array | npt.NDArray[np.float32]) -> jax.Array:
    """Convolve ``[..., H, W, C]`` (stride 1, zero padding) to ``[..., H, W, K]``.

    Args:
        x: Feature maps, float32.
        transformed: The kernel, from ``transform``.
    """
    *batch, height, width, channels = x.shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)  # tiles; the last may reach over
    x = x.reshape(-1, height, width, channels)
    x = jnp.pad(
        x, ((0, 0), (1, rows * _TILE + 1 - height), (1, columns * _TILE + 1 - width), (0, 0))
    )
    parts = _input([_every(x, k, rows, 1) for k in range(4)])
    tiles = [_input([_every(part, k, columns, 2) for k in range(4)]) for part in parts]
    v = jnp.stack([tile.reshape(-1, channels) for row in tiles for tile in row])
    m = jnp.einsum("ntc,nck->ntk", v, transformed, precision=jax.lax.Precision.HIGHEST)
    m = m.reshape(4, 4, -1, rows, columns, m.shape[-1])
    outputs = _output([jnp.stack(_output(list(row)), axis=3) for row in m])
    y = jnp.stack(outputs, axis=2).reshape(-1, rows * _TILE, columns * _TILE, m.shape[-1])
    return y[:, :height, :width].reshape(*batch, height, width, m.shape[-1])


def _every(x: jax.Array, start: int, count: int, axis: int) -> jax.Array:
    """Return the element at ``start`` of each of ``count`` tiles, which overlap by half."""
    stop = start + (count - 1) * _TILE + 1
    return jax.lax.slice_in_dim(x, start, stop, _TILE, axis)


def _input(d: list[jax.Array]) -> list[jax.Array]:
    """Return B^T d of the paper's Eq. 7."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _output(m: list[jax.Array]) -> list[jax.Array]:
    """Return A^T m of the paper's Eq. 7."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
