"""The scale filter once more, in float64 NumPy and plain loops, from the authors' program of 2018.

An independent transcription to test against: nothing here is imported from the package. Positions
are the program's own 1-based ones, spectra are whole and complex, and the factor is a number. Pairs
are (height, width) or (row, column).
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.reference import resample
from tests.reference_fhog import transcription

Array = npt.NDArray[Any]
Sizes = tuple[float, float]

STEP = 1.02
COUNT = 33
FACTORS = [STEP ** (17 - k) for k in range(1, COUNT + 1)]
HANN = [0.5 - 0.5 * math.cos(2 * math.pi * k / (COUNT - 1)) for k in range(COUNT)]
DEVIATION = COUNT / math.sqrt(COUNT) / 4
LABEL = [math.exp(-((k - 17) ** 2) / (2 * DEVIATION**2)) for k in range(1, COUNT + 1)]


def brightness(image: Array) -> Array:
    """MATLAB's rgb2gray, in whole numbers."""
    return np.round(image.astype(np.float64) @ np.array([0.2989, 0.5870, 0.1140]))


def sample_size(target: Sizes, margin: float) -> tuple[int, int]:
    h, w = target[0] + margin, target[1] + margin
    shrunk = min(1.0, math.sqrt(512 / (h * w)))
    return math.floor(h * shrunk), math.floor(w * shrunk)


def limits(target: Sizes, image: Sizes) -> tuple[int, int]:
    """Exponents of the least and the largest factor."""
    h, w = target
    if h / w > 2:
        window = math.floor(h * 1.4), math.floor(w * 2.8)
    elif min(h, w) > 80 and h * w / (image[0] * image[1]) > 0.1:
        window = math.floor(h * 2), math.floor(w * 2)
    else:
        window = math.floor(h * 2.8), math.floor(w * 2.8)
    least = math.ceil(math.log(max(5 / window[0], 5 / window[1])) / math.log(STEP))
    most = math.floor(math.log(min(image[0] / h, image[1] / w)) / math.log(STEP))
    return least, most


@dataclass
class Scale:
    """The size of one target: ``start`` in the first frame, then ``follow``."""

    target: Sizes
    image: Sizes
    margin: float = 8.0
    eta: float = 0.01
    lambda_: float = 0.01
    factor: float = 1.0
    exponent: int = 0
    numerator: Array = field(default_factory=lambda: np.zeros(0))
    denominator: Array = field(default_factory=lambda: np.zeros(0))

    def samples(self, grey: Array, position: Array) -> Array:
        base = self.target[0] + self.margin, self.target[1] + self.margin
        size = sample_size(self.target, self.margin)
        out = []
        for scale in FACTORS:
            factor = self.factor * scale
            window = [max(math.floor(side * factor), 1) for side in base]
            places = []
            for axis in range(2):
                place = []
                for i in range(1, window[axis] + 1):
                    at = math.floor(position[axis]) + i - window[axis] // 2
                    place.append(min(max(at, 1), grey.shape[axis]) - 1)
                places.append(place)
            values = resample(grey[np.ix_(*places)], size)
            out.append(np.floor(values / (1 + 1e-6) + 0.5))
        return np.array(out)

    def spectrum(self, grey: Array, position: Array) -> Array:
        """[scale, feature]."""
        samples = self.samples(grey, position)
        columns = [h * transcription(s, 4).ravel() for h, s in zip(HANN, samples, strict=True)]
        return np.fft.fft(np.array(columns), axis=0)

    def learn(self, grey: Array, position: Array, eta: float) -> None:
        x = self.spectrum(grey, position)
        numerator = np.fft.fft(LABEL)[:, None] * np.conj(x)
        denominator = (np.abs(x) ** 2).sum(axis=1)
        if eta < 1:
            numerator = (1 - eta) * self.numerator + eta * numerator
            denominator = (1 - eta) * self.denominator + eta * denominator
        self.numerator, self.denominator = numerator, denominator

    def start(self, grey: Array, position: Array) -> None:
        self.learn(grey, position, eta=1.0)

    def follow(self, grey: Array, position: Array) -> None:
        x = self.spectrum(grey, position)
        total = (self.numerator * x).sum(axis=1) / (self.denominator + self.lambda_)
        best = int(np.argmax(np.real(np.fft.ifft(total))))
        self.factor *= FACTORS[best]
        self.exponent += 16 - best
        least, most = limits(self.target, self.image)
        if not least <= self.exponent <= most:
            self.exponent = min(max(self.exponent, least), most)
            self.factor = STEP**self.exponent
        self.learn(grey, position, self.eta)
