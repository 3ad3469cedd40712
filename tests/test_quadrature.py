"""Points and weights give the expectations that integrals give."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import norm, t

from gnr_sklearn._quadrature import points_of
from gnr_sklearn.nn.likelihoods import Gaussian, SelectedGaussian, StudentT

FUNCTIONS = {
    "plain": lambda u: u,
    "exponential": np.exp,
    "steeper": lambda u: np.exp(1.5 * u),
    "logistic": lambda u: 1 / (1 + np.exp(-2 * u)),
}


def expected(distribution, function):
    points = list(points_of(distribution))
    assert_allclose(sum(np.sum(weight) for _, weight in points), 1.0, rtol=1e-10)
    return float(sum(weight * function(point) for point, weight in points)[0])


def tensors(*values):
    return (torch.tensor([value], dtype=torch.float64) for value in values)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [0.1, 1.0])
@pytest.mark.parametrize(
    ("slope", "intercept", "floor", "ceiling"),
    [
        (3.0, 0.0, 1e-3, 0.95),
        (-3.0, 0.0, 1e-3, 0.95),
        (3.0, -3.0, 0.02, 0.8),
        (8.0, -30.0, 1e-9, 1.0),
        (20.0, 5.0, 1e-3, 0.5),
        (0.0, 0.0, 0.1, 0.5),
    ],
)
def test_values_that_decide(name, scale, slope, intercept, floor, ceiling):
    logs = np.log(floor), np.log(ceiling - floor)
    lost = SelectedGaussian(*tensors(0.3, scale, slope, intercept, *logs))

    def density(u):
        chance = floor + (ceiling - floor) * norm.cdf(slope * u + intercept)
        return norm.pdf(u, 0.3, scale) * chance

    function = FUNCTIONS[name]
    limits, breaks = (0.3 - 9 * scale, 0.3 + 9 * scale), [-intercept / slope] if slope else None
    settings = {"limit": 400, "epsabs": 0, "epsrel": 1e-9}
    if breaks is None or not limits[0] < breaks[0] < limits[1]:
        breaks = None
    total = quad(density, *limits, points=breaks, **settings)[0]
    exact = quad(lambda u: density(u) * function(u), *limits, points=breaks, **settings)[0] / total
    assert_allclose(expected(lost, function), exact, rtol=3e-3, atol=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_normal_distributions(name):
    exact = quad(lambda u: norm.pdf(u, 0.3, 1.2) * FUNCTIONS[name](u), -15, 15)[0]
    assert_allclose(expected(Gaussian(*tensors(0.3, 1.2)), FUNCTIONS[name]), exact, rtol=2e-3)


def test_heavy_tails():
    exact = quad(lambda u: t.pdf(u, 3.7, 0.3, 0.8) * FUNCTIONS["logistic"](u), -200, 200)[0]
    found = expected(StudentT(*tensors(0.3, 0.8, 3.7)), FUNCTIONS["logistic"])
    assert_allclose(found, exact, rtol=2e-3)
