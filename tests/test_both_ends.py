"""Values that are lost at both ends: against integrals, and on data of the model's own family."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import kstest, norm

from gnr_sklearn import GNRImputer, NotMIWAEImputer
from gnr_sklearn._quadrature import points_of
from gnr_sklearn._validation import DIRECTIONS_AND_BOTH
from gnr_sklearn.nn.likelihoods import SelectedGaussian, TwiceSelectedGaussian, selected
from gnr_sklearn.nn.processes import BOTH, ValueProcess
from gnr_sklearn.persistence import dump, load
from gnr_sklearn.plotting._sensitivity import ARROWS, direction_label
from gnr_sklearn.sensitivity import sensitivity
from tests.contract import TINY_NET


class Ends(NamedTuple):
    """A normal distribution, and how its values are lost at either end."""

    mean: float
    scale: float
    slope: float
    lower: float
    upper: float
    floor: float
    ceiling: float

    def distribution(self, n_copies=1, dtype=torch.float64):
        logs = np.log([self.floor, self.ceiling - self.floor])
        up, down = (self.slope, -self.slope * self.upper), (-self.slope, self.slope * self.lower)
        parts = torch.tensor([self.mean, self.scale, *up, *logs, *down], dtype=dtype)
        return selected(*parts[:, None].expand(-1, n_copies))

    def chance(self, u):
        beyond = norm.cdf(self.slope * (u - self.upper)) + norm.cdf(self.slope * (self.lower - u))
        return self.floor + (self.ceiling - self.floor) * beyond

    def integral(self, function):
        """Integrate a function of values over what is lost of them."""
        far = 10 * self.scale
        breaks = [at for at in (self.lower, self.upper) if abs(at - self.mean) < far]
        return quad(
            lambda u: norm.pdf(u, self.mean, self.scale) * self.chance(u) * function(u),
            self.mean - far,
            self.mean + far,
            points=breaks or None,
            limit=400,
            epsabs=1e-12,
            epsrel=1e-10,
        )[0]

    def moment(self, function):
        return self.integral(function) / self.integral(np.ones_like)


ENDS = [
    Ends(mean, scale, slope, lower, upper, floor, ceiling)
    for mean, scale in [(0.0, 1.0), (1.5, 0.3), (-2.0, 2.5)]
    for slope, lower, upper in [(1.0, -1.0, 1.0), (12.0, -0.5, 1.4), (0.3, -3.0, 2.0)]
    for floor, ceiling in [(1e-4, 0.999), (0.1, 0.95), (0.01, 0.4)]
]


@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_what_is_lost_against_numerical_integration(ends):
    lost = ends.distribution()
    assert isinstance(lost, TwiceSelectedGaussian)
    assert_allclose(lost.log_missing.exp(), ends.integral(np.ones_like), rtol=1e-8)
    assert_allclose(lost.mean, ends.moment(lambda u: u), rtol=1e-6, atol=1e-9)
    assert_allclose(lost.share_by_chance, ends.floor / ends.integral(np.ones_like), rtol=1e-8)
    points, weights = zip(*points_of(lost), strict=True)
    for function, close in ((np.ones_like, 1e-9), (np.exp, 3e-3), (lambda u: u, 3e-3)):
        found = sum(np.asarray(w) * function(u) for u, w in zip(points, weights, strict=True))
        assert_allclose(found, ends.moment(function), rtol=close, atol=1e-3)


@pytest.mark.parametrize("ends", ENDS[::4], ids=str)
def test_draws_are_distributed_as_what_is_lost(ends):
    lost = ends.distribution(4000)
    draws = lost.draw(torch.Generator().manual_seed(0)).numpy()
    grid = np.linspace(ends.mean - 9 * ends.scale, ends.mean + 9 * ends.scale, 20001)
    density = norm.pdf(grid, ends.mean, ends.scale) * ends.chance(grid)
    cumulative = np.cumsum(density) / density.sum()
    assert kstest(draws, lambda u: np.interp(u, grid, cumulative)).pvalue > 1e-3


def test_far_out_where_chances_round_to_zero():
    """What is hardly ever lost goes to the nearer end, in either precision."""
    for dtype in (torch.float32, torch.float64):
        for mean, nearer in ((0.2, 5.0), (-0.2, -5.0)):
            lost = Ends(mean, 0.05, 30.0, -5.0, 5.0, 1e-300, 1.0).distribution(dtype=dtype)
            if dtype == torch.float32:
                lost = lost._replace(log_floor=torch.tensor([-600.0]))
            assert np.sign(lost.mean.item()) == np.sign(nearer)
            assert np.isfinite([lost.mean.item(), lost.log_missing.item()]).all()
            gradient = torch.autograd.functional.jacobian(
                lambda m, lost=lost: lost._replace(mean_of_all=m).log_missing.sum(),
                lost.mean_of_all,
            )
            assert torch.isfinite(gradient).all()


def make_process(directions, fractions=(0.4, 0.4, 0.4), **settings):
    process = ValueProcess(fractions, directions, **settings).double()
    with torch.no_grad():
        process.threshold += torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    return process


def test_chances_are_integrals_and_add_up_to_one():
    with torch.no_grad():
        step = make_process([BOTH, 1, 0]).step()
    mean, scale = torch.tensor([[0.4, -0.3, 0.2]], dtype=torch.float64), 0.7
    variance = torch.full((3,), scale**2, dtype=torch.float64)
    chances = step.log_missing(mean, variance).exp()
    assert_allclose(chances + step.log_observed(mean, variance).exp(), np.ones((1, 3)), rtol=1e-12)
    u = mean + scale * torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    density = norm.pdf(np.linspace(-9, 9, 4001))[:, None]
    averages = (density * step.log_missing(u).exp().numpy()).sum(0) / density.sum()
    assert_allclose(chances[0], averages, rtol=1e-6)
    lost = step.select(mean, torch.full((3,), scale, dtype=torch.float64))
    assert_allclose(lost.log_missing.exp(), chances, rtol=1e-9)


def test_features_with_one_end_are_as_without_the_others():
    """Beside one with two ends, and after it is left out."""
    with_both, without = make_process([BOTH, 1, -1]), make_process([1, 1, -1])
    u = torch.linspace(-3, 3, 13, dtype=torch.float64)[:, None].expand(-1, 3)
    here, there = (each.step().log_missing(u)[:, 1:] for each in (with_both, without))
    assert_allclose(here.detach(), there.detach(), rtol=1e-12)
    assert isinstance(without.step().select(u, torch.ones(3)), SelectedGaussian)
    with with_both.leaving_out(0):
        chances = with_both.step().log_missing(u)[:, 0]
        assert_allclose(chances.detach(), chances.detach()[0].expand(13), rtol=1e-12)
    assert with_both.step().log_missing(u)[:, 0].std() > 0.1
    some = with_both.step().of(torch.tensor([2, 0]))
    assert_allclose(some.log_missing(u[:, :2]).detach()[:, 1],
                    with_both.step().log_missing(u).detach()[:, 0])  # fmt: skip


def test_levels_start_further_out():
    near, far = (
        make_process([BOTH] * 3, has_few_levels=[few, False, False]).step() for few in (False, True)
    )
    assert (far.intercept < near.intercept).tolist() == [True, False, False]
    assert (far.lower_intercept < near.lower_intercept).tolist() == [True, False, False]


def make_ends(n_rows=3000, seed=0):
    """Two correlated columns, and the first without most of what lies outside of -0.8 and 1."""
    rng = np.random.default_rng(seed)
    full = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.8], [0.8, 1.0]], size=n_rows)
    full = full * [10.0, 1.0] + [50.0, 0.0]
    outside = (full[:, 0] < 42.0) | (full[:, 0] > 60.0)
    X = full.copy()
    X[outside & (rng.uniform(size=n_rows) < 0.9), 0] = np.nan
    return X, full, np.isnan(X[:, 0])


NET = {"random_state": 0, "prior": None, "decoder": "linear", "hidden_dims": 32, "max_iter": 1000}


def exact_expectations(full, lost):
    """Integrate what is lost given the other column, by the truth."""
    mean, scale = 50.0 + 8.0 * full[lost, 1], 6.0
    upper, lower = (60.0 - mean) / scale, (42.0 - mean) / scale
    beyond = norm.sf(upper) + norm.cdf(lower)
    return mean + scale * (norm.pdf(upper) - norm.pdf(lower)) / beyond


def test_the_model_finds_its_own_kind():
    X, full, lost = make_ends()
    imputer = GNRImputer(**NET, missing_direction={0: "both"}).fit(X)
    assert imputer.missing_direction_.tolist() == ["both", None]
    assert imputer.missing_threshold_[0] == pytest.approx(60.0, abs=0.7)
    assert imputer.missing_lower_threshold_[0] == pytest.approx(42.0, abs=0.7)
    assert np.isnan([imputer.missing_threshold_[1], imputer.missing_lower_threshold_[1]]).all()
    assert imputer.missing_ceiling_[0] == pytest.approx(0.9, abs=0.05)
    assert imputer.missing_floor_[0] < 0.03
    imputed = imputer.transform(X)[lost, 0]
    exact = exact_expectations(full, lost)
    assert np.sqrt(np.mean((imputed - exact) ** 2)) < 0.12 * full[:, 0].std()
    draws = imputer.sample(X, 200, random_state=0)[:, lost, 0]
    assert_allclose(draws.mean(), imputed.mean(), atol=0.2)
    # Nine tenths of what is lost lies outside.
    outside = (draws < 42.0) | (draws > 60.0)
    assert outside.mean() > 0.9
    plain = GNRImputer(**NET, missing_direction="neither").fit(X)
    errors = [np.sqrt(np.mean((each.transform(X)[lost, 0] - full[lost, 0]) ** 2))
              for each in (imputer, plain)]  # fmt: skip
    assert errors[0] < 0.8 * errors[1]
    assert imputer.score(X) > plain.score(X)


def test_forests_know_of_both_ends():
    X, full, lost = make_ends(800)
    imputed = GNRImputer(**NET | {"prior": "forest"}, missing_direction="both").fit_transform(X)
    exact = exact_expectations(full, lost)
    assert np.sqrt(np.mean((imputed[lost, 0] - exact) ** 2)) < 0.15 * full[:, 0].std()


def test_all_that_is_asked_of_an_imputer(tmp_path):
    X, *_ = make_ends(300)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"income": X[:, 0], "age": X[:, 1]})
    answer = np.clip(np.round(X[:, 1] + 3), 1, 5)
    frame["answer"] = np.where((answer != 3) & (rng.uniform(size=300) < 0.7), np.nan, answer)
    frame["cost"] = np.where(rng.uniform(size=300) < 0.2, np.nan, np.exp(X[:, 1]))
    said = {"income": "both", "answer": "both", "age": "neither", "cost": "both"}
    kinds = {"answer": "ordinal", "cost": "log_normal"}
    imputer = GNRImputer(
        **TINY_NET | {"max_iter": 60, "prior": "forest"}, missing_direction=said, likelihood=kinds
    ).fit(frame)
    assert imputer.missing_direction_.tolist() == ["both", None, "both", "both"]
    completed = imputer.transform(frame)
    assert np.isfinite(completed).all()
    assert (completed[:, 3] > 0).all()
    assert np.isin(completed[:, 2], np.unique(answer)).all()
    assert (imputer.missing_lower_threshold_ < imputer.missing_threshold_)[[0, 2, 3]].all()
    dump(imputer, tmp_path / "imputer.skops")
    assert_array_equal(load(tmp_path / "imputer.skops").transform(frame), completed)
    assert np.isfinite(imputer.sample(frame, 2, random_state=0)).all()
    chances = imputer.predict_mask_proba(frame)
    assert ((chances > 0) & (chances < 1)).all()
    assert np.isfinite(imputer.partial_fit(frame).transform(frame)).all()
    chosen = imputer.set_params(alpha="auto").fit(frame)
    assert chosen.alpha_ in (1.0, 0.1, 0.01)


def test_sensitivity_to_both_ends():
    X, *_ = make_ends(300)
    imputer = GNRImputer(**TINY_NET | {"max_iter": 200}, missing_direction="above")
    settings = {"deltas": None, "directions": ["both"], "random_state": 0}
    result = sensitivity(imputer, X, **settings)
    assert [each.value for each in result.scenarios[1:]] == ["both"]
    assert result.column_means[1, 0] < result.column_means[0, 0]
    with pytest.raises(ValueError, match="directions must be None or a sequence of 'above', "):
        sensitivity(NotMIWAEImputer(), X, **settings)


@pytest.mark.parametrize("scaling", ["shared", "ratings"])
def test_where_features_share_a_process_there_are_no_two_ends(scaling):
    X = np.clip(np.round(make_ends(100)[0] / 20), 1, 5)
    imputer = GNRImputer(**TINY_NET, scaling=scaling, missing_direction=["both", None])
    message = "missing_direction must not be 'both' for features that share a process, with scalin"
    with pytest.raises(ValueError, match=message):
        imputer.fit(X)


def test_who_does_not_know_of_both_ends():
    X, *_ = make_ends(100)
    for said in ("both", {0: "both"}):
        with pytest.raises(ValueError, match="missing_direction"):
            NotMIWAEImputer(missing_process="self_masking_known", missing_direction=said).fit(X)
    with pytest.warns(UserWarning, match="missing_direction='both' has no effect with mask_model="):
        GNRImputer(**TINY_NET | {"max_iter": 2}, mask_model="latent", missing_direction="both").fit(
            X
        )
    with pytest.raises(ValueError, match="missing_direction must be 'above', 'below', 'neither', "
                                         "'both', None, a sequence of 2"):  # fmt: skip
        GNRImputer(missing_direction={0: "up"}).fit(X)


TO_CHOOSE = TINY_NET | {"max_iter": 250, "hidden_dims": 16, "n_imputation_samples": 40}


def lose(full, kind, seed=0):
    """Remove most of what lies outside of both quartiles, or as many values in another way."""
    rng = np.random.default_rng(seed)
    low, high = np.quantile(full, [0.25, 0.75], axis=0)
    outside = (full < low) | (full > high)
    if kind == "by another column":
        outside[:] = outside[:, [-1]]
    if kind == "above":
        outside = full > np.median(full, axis=0)
    lost = (0.9 * outside if kind != "by chance" else 0.45) > rng.uniform(size=full.shape)
    lost[:, -1] = False
    return np.where(lost, np.nan, full)


@pytest.mark.parametrize(
    ("kind", "direction"),
    [("both", "both"), ("by chance", None), ("by another column", None), ("above", "above")],
)
def test_both_ends_may_be_chosen(kind, direction):
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(600, 2))
    full = factors @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(600, 5))
    imputer = GNRImputer(**TO_CHOOSE).fit(lose(full, kind))
    assert imputer.missing_direction_.tolist() == [*4 * [direction], None]


def test_two_levels_have_no_two_ends():
    """Nor has what users say to be lost in another way."""
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(600, 2))
    full = factors @ rng.normal(size=(2, 5)) + 0.4 * rng.normal(size=(600, 5))
    X = lose(full, "both")
    X[:, 1] = np.where(np.isnan(X[:, 1]), np.nan, X[:, 1] > 0)
    imputer = GNRImputer(**TO_CHOOSE, missing_direction={2: "neither"})
    assert imputer.fit(X).missing_direction_.tolist() == ["both", None, None, "both", None]


def test_each_direction_has_an_arrow():
    assert direction_label(("above", "both", None)) == "↑↕-"
    assert ARROWS.keys() >= DIRECTIONS_AND_BOTH.keys()
