"""fHOG once more: the toolbox's C program in plain loops, in float64.

An independent transcription to test against: nothing here is imported from the package.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def from_table(gx: float, gy: float, magnitude: float) -> int:
    """The direction as the program finds it: an arc cosine of a cosine cut to 1e-4."""
    cosine = math.trunc(1e4 * (-gx if gy < 0 else gx) / magnitude) / 1e4
    angle = math.acos(cosine) + (math.pi if gy < 0 else 0)
    return int(angle * 18 / (2 * math.pi) + 0.5 + 1e-12) % 18  # 90 and 270 degrees round up


def from_angle(gx: float, gy: float, magnitude: float) -> int:
    """The direction without a table."""
    return int(math.atan2(gy, gx) % (2 * math.pi) * 18 / (2 * math.pi) + 0.5 + 1e-12) % 18


def gradient(image: Floats, y: int, x: int) -> tuple[float, float]:
    """(gx, gy) of the channel with the largest gradient."""
    height, width, colours = image.shape
    best, found = -1.0, (0.0, 0.0)
    for c in range(colours):
        left, right = max(x - 1, 0), min(x + 1, width - 1)
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        gx = (image[y, right, c] - image[y, left, c]) / (right - left)
        gy = (image[below, x, c] - image[above, x, c]) / (below - above)
        if gx * gx + gy * gy > best:
            best, found = gx * gx + gy * gy, (gx, gy)
    return found


def norms(energy: Floats, cell: int) -> Floats:
    """The norms at the corners of cells, and the program's order of filling them."""
    rows, columns = energy.shape
    n = np.zeros((rows + 1, columns + 1))
    n[1:, 1:] = energy
    for x in range(1, columns):
        for y in range(1, rows):
            total = n[y, x] + n[y + 1, x] + n[y, x + 1] + n[y + 1, x + 1]
            n[y, x] = 1 / math.sqrt(total + 1e-4 / 4 / cell**4)
    n[0, 0] = n[1, 1]
    n[:, 0] = n[:, 1]
    n[rows, 0] = n[rows - 1, 1]
    n[0, columns] = n[1, columns - 1]
    n[:, columns] = n[:, columns - 1]
    n[rows, columns] = n[rows - 1, columns - 1]
    n[0, :] = n[1, :]
    n[rows, :] = n[rows - 1, :]
    return n


def transcription(
    image: Floats, cell: int, direction: Callable[[float, float, float], int] = from_table
) -> Floats:
    """The program in plain loops, in float64."""
    image = image.reshape(*image.shape[:2], -1)
    rows, columns = image.shape[0] // cell, image.shape[1] // cell
    signed = np.zeros((rows, columns, 18))
    for y in range(rows * cell):
        for x in range(columns * cell):
            gx, gy = gradient(image, y, x)
            magnitude = max(math.hypot(gx, gy), 1e-10)
            o = direction(gx, gy, magnitude)
            v, u = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
            for g in (math.floor(v), math.floor(v) + 1):
                for k in (math.floor(u), math.floor(u) + 1):
                    if 0 <= g < rows and 0 <= k < columns:
                        share = (1 - abs(v - g)) * (1 - abs(u - k))
                        signed[g, k, o] += share * magnitude / cell**2
    for edge in (np.s_[0], np.s_[rows - 1], np.s_[:, 0], np.s_[:, columns - 1]):
        signed[edge] *= 8 / 7
    unsigned = signed[..., :9] + signed[..., 9:]
    n = norms((unsigned**2).sum(-1), cell)
    features = np.zeros((rows, columns, 31))
    for g in range(rows):
        for k in range(columns):
            for c, (i, j) in enumerate([(g + 1, k + 1), (g, k + 1), (g + 1, k), (g, k)]):
                for o in range(18):
                    value = min(signed[g, k, o] * n[i, j], 0.2)
                    features[g, k, o] += 0.5 * value
                    features[g, k, 27 + c] += 0.2357 * value
                for o in range(9):
                    features[g, k, 18 + o] += 0.5 * min(unsigned[g, k, o] * n[i, j], 0.2)
    return features
