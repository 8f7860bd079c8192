"""Computes with numpy: linear algebra of its OpenBLAS, random numbers and Fourier transforms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from falco_plugin import Plugin


class Numpy(Plugin):
    """Results of numpy"""

    name = "numpy_results"
    id = 1_734_560_090
    event_source = "numpy_results"

    def open(self, params: str) -> Iterator[bytes]:
        """Delivers results as text. They are the same on all machines."""
        matrix = np.arange(9.0).reshape(3, 3) + np.eye(3)
        yield str(np.rint(np.linalg.solve(matrix, [1.0, 2.0, 3.0])).astype(int)).encode()
        yield b"%d" % np.random.default_rng(7).integers(1 << 30)
        yield str(np.abs(np.fft.rfft([1.0, 0.0, -1.0, 0.0])).astype(int)).encode()
