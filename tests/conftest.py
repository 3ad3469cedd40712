"""Settings of the test suite."""

import os

# The nets of the tests are small, and threads that wait for each other take longer than one; also
# in processes that tests start, beside as many that run tests as there are cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where there are more threads all the same, those that wait leave the core to others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from sklearn.base import clone
from sklearn.datasets import load_wine

from gnr_sklearn.missingness import MCAR, ampute
from tests.contract import IMPUTERS, imputer_id, make_data
from tests.mixed_frames import HOLES

# Timing belongs to the benchmarks: a slow machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

torch.set_num_threads(1)


@pytest.fixture(params=IMPUTERS, ids=imputer_id)
def imputer(request):
    """Each imputer, not fitted."""
    return clone(request.param)


@pytest.fixture(params=IMPUTERS, ids=imputer_id, scope="module")
def fitted(request):
    """Each imputer, fitted on ``make_data()``. Tests share it: do no more than transform."""
    return clone(request.param).fit(make_data())


@pytest.fixture
def frame():
    """Columns of several types, with holes; each test has its own, to change as it likes."""
    return HOLES.copy()


@pytest.fixture(scope="session")
def normals():
    """Columns that have nothing to do with each other."""
    return np.random.default_rng(0).standard_normal((100_000, 4))


@pytest.fixture(scope="session")
def wine():
    """Columns in units of their own, complete."""
    return load_wine().data


@pytest.fixture(scope="session")
def wine_missing(wine):
    """The same with holes at random."""
    return ampute(wine, MCAR(0.2), random_state=0)
