"""The table that most tests of sensitivity look at."""

import numpy as np
import pytest


@pytest.fixture
def X():
    """Three columns, the first complete."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1.0, 10.0, 0.1] + [0.0, 100.0, 5.0]
    X[::3, 1] = np.nan
    X[1::5, 2] = np.nan
    return X
