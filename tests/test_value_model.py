"""GNR whose values decide themselves: against integrals of z and u, and data of its own family."""

import copy
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.special import expit, log_ndtr, logit, logsumexp, ndtr
from scipy.stats import kstest, norm

from benchmarks.families import draw
from gnr_sklearn import GNRImputer
from gnr_sklearn._deep import DeepImputer
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.missingness import SelfMasking, ampute
from gnr_sklearn.nn.bounds import log_weights, normalized_weights
from gnr_sklearn.nn.likelihoods import SelectedGaussian
from gnr_sklearn.nn.models import MIWAE, ValueGNR
from gnr_sklearn.nn.processes import ValueProcess
from tests.contract import QUICK, choose_side
from tests.small_models import bound_of, make_model, terms_at


class Step(NamedTuple):
    """A normal distribution, and how values of it are lost."""

    mean: float
    scale: float
    slope: float
    intercept: float
    floor: float
    ceiling: float

    def distribution(self, dtype=torch.float64, n_copies=1):
        """Make what is tested of it, in so many copies."""
        with np.errstate(divide="ignore"):
            logs = np.log([self.floor, self.ceiling - self.floor])
        parts = torch.tensor([*self[:4], *logs], dtype=dtype)
        return SelectedGaussian(*parts[:, None].expand(-1, n_copies))

    def grid(self):
        """Return values and the log-density of those that go missing, not normalised."""
        u = self.mean + self.scale * np.linspace(-14, 14, 40_001)
        with np.errstate(divide="ignore"):
            log_floor, log_rise = np.log([self.floor, self.ceiling - self.floor])
        log_lost = np.logaddexp(log_floor, log_rise + log_ndtr(self.slope * u + self.intercept))
        return u, norm.logpdf(u, self.mean, self.scale) + log_lost


STEPS = [
    Step(mean, scale, slope, intercept, floor, ceiling)
    for mean, scale in [(0.0, 1.0), (1.5, 0.3), (-2.0, 2.5)]
    for slope, intercept in [(1.0, 0.0), (-2.0, 0.7), (0.0, -0.4), (12.0, 3.0), (-0.3, -1.0)]
    for floor, ceiling in [(0.0, 1.0), (0.1, 1.0), (0.0, 0.6), (0.25, 0.4)]
]
# With a slope of 4 and a scale of 0.5, r is the root of 5 and t is (-16 + b) / r.
FAR_BELOW, FAR_ABOVE = (
    Step(-4.0, 0.5, 4.0, 16.0 + t * np.sqrt(5.0), 0.0, 1.0) for t in (-8.0, 8.0)
)
FAR_LEFT = Step(4.0, 0.5, -4.0, 16.0 - 8.0 * np.sqrt(5.0), 0.0, 1.0)


@pytest.mark.parametrize("step", [*STEPS, FAR_BELOW, FAR_ABOVE, FAR_LEFT], ids=str)
def test_selected_gaussian_against_numerical_integration(step):
    u, log_density = step.grid()
    log_missing = logsumexp(log_density) + np.log(u[1] - u[0])
    mean = np.exp(log_density - logsumexp(log_density)) @ u
    lost = step.distribution()
    assert lost.log_missing.item() == pytest.approx(log_missing, rel=1e-7, abs=1e-9)
    assert lost.mean.item() == pytest.approx(mean, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("t", [-12.0, -14.0, -20.0, -36.0, -40.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_means_of_what_is_hardly_ever_lost(t, dtype):
    """Even where the probability rounds to 0, by the ratio of density and probability."""
    lost = Step(1.0, 0.5, 2.0, t * np.sqrt(2.0) - 2.0, 0.0, 0.9).distribution(dtype)
    ratio = np.exp(norm.logpdf(t) - norm.logcdf(t))
    expected = 1.0 + 2.0 * 0.25 / np.sqrt(2.0) * ratio
    assert lost.mean.item() == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    "step",
    [
        Step(1.5, 0.3, 12.0, -19.0, 0.0, 1.0),
        Step(0.0, 1.0, -2.0, -1.0, 0.0, 0.7),
        Step(0.0, 1.0, 3.0, -4.0, 0.1, 0.9),  # the floor's share is about a half
        Step(-2.0, 2.0, 0.0, 0.3, 0.2, 0.5),
        FAR_BELOW,
        FAR_ABOVE,
        FAR_LEFT,
        FAR_BELOW._replace(floor=1e-15, ceiling=0.9),  # of about the probability of the step
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_draws_of_selected_gaussian_have_its_distribution(step, dtype):
    lost = step.distribution(dtype, n_copies=20_000)
    draws, same, other = (
        lost.draw(torch.Generator().manual_seed(seed)).double().numpy() for seed in (0, 0, 1)
    )
    assert np.array_equal(draws, same)
    assert not np.array_equal(draws, other)
    u, log_density = step.grid()
    density = np.exp(log_density - logsumexp(log_density))
    mean = density @ u
    variance = density @ (u - mean) ** 2
    assert draws.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 20_000))
    assert draws.var() == pytest.approx(variance, rel=0.06)
    cumulative = np.cumsum(density) - density / 2
    assert kstest(draws, lambda x: np.interp(x, u, cumulative)).pvalue > 1e-3


def make_process(direction=(1, -1, 0), fraction=(0.3, 0.6, 0.45)):
    """Make a process no two parameters of which are the same."""
    process = ValueProcess(fraction, direction).double()
    with torch.no_grad():
        for k, parameter in enumerate(process.parameters()):
            shift = torch.linspace(-0.5, 0.7, len(parameter), dtype=torch.float64)
            parameter += (shift + 0.1 * k) * (0.5 if parameter is process.log_slope else 1.0)
    return process


def chance_of(process, u):
    """P(missing | u) of each feature, written out from the parameters."""
    part = {name: p.detach().numpy() for name, p in process.named_parameters()}
    ceiling = expit(part["shared_ceiling"] + part["ceiling_deviation"])
    floor = ceiling * expit(part["floor_share"])
    steepness, signs = np.exp(part["log_slope"]), process.direction.numpy()
    # The threshold is counted in the direction of the step.
    return floor + (ceiling - floor) * ndtr(steepness * (signs * u - part["threshold"]))


VALUES = torch.linspace(-4, 4, 33, dtype=torch.float64)[:, None].expand(-1, 3)


def test_log_odds_of_a_known_value():
    process = make_process()
    missing = chance_of(process, VALUES.numpy())
    np.testing.assert_allclose(process(VALUES).detach(), -logit(missing), rtol=1e-9)
    # In terms of what else the process says of itself.
    slope, intercept, log_floor, log_rise = (
        part.detach().numpy() for part in process.step().of_what_is_lost
    )
    described = np.exp(log_floor) + np.exp(log_rise) * ndtr(slope * VALUES.numpy() + intercept)
    np.testing.assert_allclose(described, missing, rtol=1e-9)


def test_log_odds_of_values_that_are_not_known_are_those_of_the_integral():
    process = make_process()
    u = np.linspace(-20, 20, 8001)
    chance = chance_of(process, u[:, None])
    scale = np.array([0.3, 1.7, 0.8])
    density = norm.pdf(u[:, None, None], VALUES.numpy(), scale) * (u[1] - u[0])
    expected = np.einsum("uvd,ud->vd", density, chance)
    actual = process(VALUES, torch.from_numpy(scale**2)).detach()
    np.testing.assert_allclose(actual, -logit(expected), atol=1e-8)
    selected = process.step().select(VALUES, torch.from_numpy(scale))
    np.testing.assert_allclose(selected.log_missing.exp().detach(), expected, rtol=1e-8)


def test_the_sign_of_a_step_is_its_direction():
    process = make_process()
    with torch.no_grad():
        low, high = process(torch.tensor([[-1.0], [1.0]], dtype=torch.float64).expand(-1, 3))
        differences = (high - low).sign()
        assert differences.tolist() == [-1.0, 1.0, 0.0]  # less likely to be observed above
        constant = process(VALUES)[:, 2]
        assert (constant == constant[0]).all()


@pytest.mark.parametrize("direction", [1, -1, 0])
def test_a_process_starts_from_the_fraction_that_is_missing(direction):
    fraction = np.array([0.02, 0.1, 0.3, 0.5, 0.6, 0.8, 0.95])
    process = ValueProcess(fraction.tolist(), [direction] * len(fraction)).double()
    z, one = torch.zeros(len(fraction), dtype=torch.float64), 1.0 - 1e-12
    with torch.no_grad():
        missing = torch.sigmoid(-process(z, torch.full_like(z, one))).numpy()
    np.testing.assert_allclose(missing, fraction, rtol=0.05)
    # One that nothing is missing of does not count in what features share.
    mixed = ValueProcess([0.0, 0.3], [1, 1])
    assert mixed.step().seen_beyond[1].item() == pytest.approx(0.4)
    assert ValueProcess([0.0], [0]).step().seen_beyond.item() > 0.99


@pytest.mark.parametrize("value", [-50.0, 50.0])
@pytest.mark.parametrize("log_slope", [np.log(3.0), 4.0])
@pytest.mark.parametrize("floor_share", [-3.5, -200.0])
def test_gradients_are_finite_far_out(value, log_slope, floor_share):
    process = ValueProcess([0.3, 0.6, 0.45, 0.0], [1, -1, 0, 1])
    with torch.no_grad():
        process.log_slope.fill_(log_slope)
        process.floor_share.fill_(floor_share)
    u = torch.full((4,), value, requires_grad=True)
    variance = torch.full((4,), 0.25, requires_grad=True)
    lost = process.step().select(u, variance.sqrt())
    assert u.dtype == lost.mean.dtype == torch.float32
    for output in (process(u), process(u, variance), lost.log_missing, lost.mean):
        assert output.isfinite().all()
        inputs = [u, variance, *process.parameters()]
        gradients = torch.autograd.grad(
            output.sum(), inputs, retain_graph=True, materialize_grads=True
        )
        assert all(gradient.isfinite().all() for gradient in gradients)


def make_rows():
    """Rows of two features: complete, with either one missing, and without any value."""
    mask = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=float)
    x = np.array([[0.5, -1.0], [1.2, 0.0], [0.0, 0.3], [0.0, 0.0]])
    return torch.from_numpy(x), torch.from_numpy(mask)


def make_value_model(direction=(1, -1), **params):
    """Make a small model whose steps differ, and whose curved decoder is curved."""
    model = make_model(
        2, 1, ValueGNR, missing_fraction=[0.4, 0.3], missing_direction=direction, **params
    )
    model.process = make_process(direction, (0.4, 0.3))
    if params.get("decoder") == "curved":
        with torch.no_grad():
            weight = model.data_decoder.network.curve.weight
            weight.copy_(torch.linspace(-0.7, 1.0, weight.numel()).view_as(weight))
    return model


class Exact(NamedTuple):
    """What is known of rows by numerical integration, in the units of a net."""

    log_likelihood: np.ndarray
    mean: np.ndarray
    observed_proba: np.ndarray


def integrate(model, rows, alpha=1.0):
    """Integrate z and, given each z, each value that is missing."""
    z, u = np.linspace(-7, 7, 281), np.linspace(-14, 14, 1401)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        mean, scale = model.data_decoder(torch.from_numpy(z)[:, None].to(dtype))
        mean, scale = mean.double().numpy(), scale.double().numpy()
    d = mean.shape[-1]
    lost = norm.pdf(u[:, None, None], mean, scale) * chance_of(model.process, u[:, None])[:, None]
    lost *= u[1] - u[0]
    missing = lost.sum(0)
    mean_of_missing = np.einsum("u,uzd->zd", u, lost) / missing
    results = []
    for x, mask in zip(*(part.double().numpy() for part in rows), strict=True):
        seen = norm.logpdf(x, mean, scale) + alpha * np.log1p(-chance_of(model.process, x))
        log_p = np.where(mask == 1, seen, alpha * np.log(missing)).sum(-1)
        log_p += norm.logpdf(z) + np.log(z[1] - z[0])
        total = logsumexp(log_p)
        weights = np.exp(log_p - total)
        proba = np.where(mask == 1, 1.0 - chance_of(model.process, x), weights @ (1.0 - missing))
        results.append((total, weights @ mean_of_missing, np.broadcast_to(proba, d)))
    return Exact(*map(np.array, zip(*results, strict=True)))


@pytest.mark.parametrize("decoder", ["mlp", "linear", "curved"])
@pytest.mark.parametrize("observation_scale", ["shared", "feature", "heteroscedastic"])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_value_gnr_against_numerical_integration(decoder, observation_scale, alpha):
    rows = make_rows()
    model = make_value_model(decoder=decoder, observation_scale=observation_scale)
    exact = integrate(model, rows, alpha)
    terms = terms_at(model, rows, 2**14)
    np.testing.assert_allclose(bound_of(terms, alpha), exact.log_likelihood, atol=4e-3)
    weights = normalized_weights(log_weights(terms, alpha))
    imputed = torch.einsum("kb,kbd->bd", weights, terms.x_given_z.mean)
    missing = rows[1].numpy() == 0
    np.testing.assert_allclose(imputed.numpy()[missing], exact.mean[missing], atol=5e-3)


def test_no_direction_is_miwae_beside_chances_that_are_constant():
    rows = make_rows()
    model = make_value_model(direction=(0, 0))
    data_alone = make_model(2, 1, MIWAE, encode_mask=True)
    state = model.state_dict()
    assert all(torch.equal(state[name], p) for name, p in data_alone.state_dict().items())
    terms, expected = terms_at(model, rows, 200), terms_at(data_alone, rows, 200)
    missing = chance_of(model.process, np.zeros(2))
    mask = rows[1].numpy()
    log_pm = np.log(np.where(mask == 1, 1 - missing, missing)).sum(1)
    np.testing.assert_allclose(bound_of(terms), bound_of(expected) + log_pm, atol=1e-5)
    weights, others = (normalized_weights(log_weights(each, 1.0)) for each in (terms, expected))
    torch.testing.assert_close(weights, others, rtol=0, atol=1e-12)
    torch.testing.assert_close(terms.x_given_z.mean, expected.x_given_z.mean, rtol=0, atol=1e-12)


def test_the_encoder_sees_the_mask():
    x, mask = make_rows()
    model = make_value_model()
    noise = torch.zeros((1, 4, 1), dtype=torch.float64)
    with torch.no_grad():
        as_it_is, complete = model(x, mask, noise), model(x, torch.ones_like(mask), noise)
    differs = as_it_is.log_qz != complete.log_qz
    assert differs[0].tolist() == [False, True, True, True]


def test_what_integrates_exactly_is_gaussian():
    with pytest.raises(ValueError, match="likelihood must be 'gaussian'"):
        make_value_model(likelihood="student_t")


# One factor behind three columns, in standard units, and what the columns are in.
LOADING = np.array([0.9, 0.8, 0.7])
NOISE = np.sqrt(1.0 - LOADING**2)
MEAN, SD = np.array([50.0, -3.0, 0.2]), np.array([10.0, 2.0, 0.5])
SLOPE = 2.0


def factor_data(n_rows, lose="above", seed=0):
    """Rows, complete and with about half of the first column lost."""
    rng = np.random.RandomState(seed)
    standard = rng.normal(size=(n_rows, 1)) * LOADING + NOISE * rng.normal(size=(n_rows, 3))
    decides = {"above": standard[:, 0], "chance": np.zeros(n_rows), "other": standard[:, 2]}[lose]
    complete = standard * SD + MEAN
    X = complete.copy()
    X[rng.uniform(size=n_rows) < ndtr(SLOPE * decides), 0] = np.nan
    return complete, X


def regression_on_the_others():
    """Coefficients and standard deviation of the first column given the others, when complete."""
    covariance = np.outer(LOADING, LOADING) + np.diag(NOISE**2)
    coefficients = np.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    return coefficients, np.sqrt(covariance[0, 0] - covariance[0, 1:] @ coefficients)


@pytest.fixture(scope="module")
def recovered():
    complete, X = factor_data(20_000)
    imputer = GNRImputer(
        missing_direction="above",
        prior=None,
        decoder="linear",
        latent_dim=1,
        hidden_dims=32,
        n_importance_samples=5,
        max_iter=800,
        batch_size=512,
        learning_rate=0.05,
        precision="float32",
        random_state=0,
    ).fit(X)
    return imputer, complete, X


def test_what_selection_hides_is_recovered(recovered):
    imputer, complete, X = recovered
    decoder = imputer.net_.module_.data_decoder
    with torch.no_grad():
        low, high = decoder(torch.tensor([[0.0], [1.0]])).mean.numpy()
        noise = decoder(torch.zeros(1, 1)).scale.numpy()
    mean = low[0] * imputer._units.scale[0] + imputer._units.center[0]
    sd = np.hypot(high[0] - low[0], noise[0]) * imputer._units.scale[0]
    assert mean == pytest.approx(MEAN[0], abs=0.05 * SD[0])
    assert sd == pytest.approx(SD[0], rel=0.05)
    assert imputer.missing_slope_[0] * SD[0] == pytest.approx(SLOPE, rel=0.25)
    assert imputer.missing_threshold_[0] == pytest.approx(MEAN[0], abs=0.1 * SD[0])
    assert imputer.missing_floor_[0] == pytest.approx(0.0, abs=0.02)
    assert imputer.missing_ceiling_[0] == pytest.approx(1.0, abs=0.02)
    assert imputer.missing_direction_.tolist() == ["above", None, None]
    # None of that can be seen.
    assert np.nanmean(X[:, 0]) < MEAN[0] - 0.5 * SD[0]
    assert np.nanstd(X[:, 0]) < 0.8 * SD[0]
    assert complete[:, 0].mean() == pytest.approx(MEAN[0], abs=0.03 * SD[0])


def test_imputations_are_the_exact_conditional_expectations(recovered):
    imputer, _, X = recovered
    rows = X[np.isnan(X[:, 0])][:4000]
    coefficients, noise = regression_on_the_others()
    mean = ((rows - MEAN) / SD)[:, 1:] @ coefficients
    r = np.sqrt(1.0 + (SLOPE * noise) ** 2)
    t = SLOPE * mean / r
    above_mean = SLOPE * noise**2 / r * np.exp(norm.logpdf(t) - norm.logcdf(t))
    expected = MEAN[0] + SD[0] * (mean + above_mean)
    error = imputer.transform(rows)[:, 0] - expected
    assert np.sqrt((error**2).mean()) < 0.02 * SD[0]
    # What a model of values missing at random would impute is far from it.
    assert above_mean.mean() > 0.15


@pytest.mark.parametrize(
    ("lose", "reverse", "expected"),
    [
        ("above", False, "above"),
        ("above", True, "below"),
        ("chance", False, None),
        ("other", False, None),
    ],
)
def test_a_direction_is_found_where_there_is_one(lose, reverse, expected):
    _, X = factor_data(1500, lose)
    params = QUICK | {"max_iter": 400, "learning_rate": 0.05, "precision": "float32"}
    imputer = GNRImputer(**params, prior=None, decoder="linear").fit(-X if reverse else X)
    assert imputer.missing_direction_.tolist() == [expected, None, None]
    assert np.isfinite(imputer.missing_threshold_[0]) == (expected is not None)


@pytest.fixture(scope="module", params=[None, "forest"], ids=str)
def small(request):
    """Fitted to two columns, of which large values of one and small ones of the other are lost."""
    rng = np.random.RandomState(0)
    complete = (rng.normal(size=(300, 1)) + 0.6 * rng.normal(size=(300, 2))) * [3.0, 0.5] + [9, -1]
    X = complete.copy()
    X[rng.uniform(size=300) < ndtr(complete[:, 0] - 9.0), 0] = np.nan
    X[rng.uniform(size=300) < 0.8 * ndtr(-6 * (complete[:, 1] + 1.0)), 1] = np.nan
    imputer = GNRImputer(
        missing_direction=["above", "below"],
        prior=request.param,
        latent_dim=1,
        hidden_dims=16,
        max_iter=300,
        random_state=0,
    ).fit(X)
    assert np.isnan(X).all(axis=1).any()
    return imputer, X


def without_regressions(imputer):
    plain = copy.copy(imputer)
    plain.prior_ = None
    return plain


def test_results_are_those_of_the_fitted_model_integrated_exactly(small):
    imputer, X = small
    plain, rows = without_regressions(imputer), X[:60]
    observed = ~np.isnan(rows)
    scaled = np.where(observed, (rows - imputer._units.center) / imputer._units.scale, 0.0)
    module = imputer.net_.module_
    exact = integrate(module, (torch.from_numpy(scaled), torch.from_numpy(observed * 1.0)))
    expected = np.where(observed, rows, exact.mean * imputer._units.scale + imputer._units.center)
    error = (plain.transform(rows) - expected) / np.nanstd(X, axis=0)
    np.testing.assert_allclose(error, 0.0, atol=0.01)
    np.testing.assert_allclose(imputer.predict_mask_proba(rows), exact.observed_proba, atol=5e-3)
    log_likelihood = exact.log_likelihood - (observed * np.log(imputer._units.scale)).sum(1)
    np.testing.assert_allclose(imputer.score_samples(rows), log_likelihood, atol=0.02)


def test_draws_hold_what_is_observed_and_scatter_around_the_imputation(small):
    imputer, X = small
    rows = X[np.isnan(X).any(axis=1)][:30]
    draws = imputer.sample(rows, 200, random_state=0)
    missing = np.isnan(rows)
    assert draws.shape == (200, 30, 2)
    bits = rows.view("u8")[~missing]
    assert (draws.view("u8")[:, ~missing] == bits).all()
    spread = draws[:, missing].std(axis=0)
    assert (spread > 0.05 * np.nanstd(X, axis=0).min()).all()
    z_scores = (draws[:, missing].mean(axis=0) - imputer.transform(rows)[missing]) / (
        spread / np.sqrt(200)
    )
    assert np.abs(z_scores).max() < 4.5
    assert np.sqrt((z_scores**2).mean()) < 1.5


def test_regressions_share_in_what_is_imputed(small, monkeypatch):
    imputer, X = small
    plain = without_regressions(imputer)
    missing = np.isnan(X)
    imputed, by_model = imputer.transform(X), plain.transform(X)
    if imputer.prior is None:
        np.testing.assert_array_equal(imputed, by_model)
        return
    scaled = (by_model - imputer._units.center) / imputer._units.scale
    by_regressions, _ = imputer.prior_.impute(scaled, ~missing)
    by_regressions = by_regressions * imputer._units.scale + imputer._units.center
    expected = 0.5 * (by_model + by_regressions)
    np.testing.assert_allclose(imputed[missing], expected[missing], rtol=1e-12)
    assert np.abs(by_model - by_regressions)[missing].max() > 0.1
    monkeypatch.setattr("gnr_sklearn.gnr.COMPLETED_ROWS", 7)
    np.testing.assert_array_equal(imputer.transform(X), imputed)


def test_what_is_known_of_the_process_is_in_units_of_the_data(small):
    imputer, _ = small
    # The chance as the attributes describe it is that of the fitted process.
    u = np.linspace(-10, 25, 71)[:, None]
    scaled = (u - imputer._units.center) / imputer._units.scale
    described = imputer.missing_floor_ + (imputer.missing_ceiling_ - imputer.missing_floor_) * ndtr(
        imputer.missing_slope_ * (u - imputer.missing_threshold_)
    )
    np.testing.assert_allclose(
        described, chance_of(imputer.net_.module_.process, scaled), rtol=1e-4, atol=1e-6
    )
    assert (np.sign(imputer.missing_slope_) == [1, -1]).all()


def test_units_of_the_data_move_what_is_known_of_the_process():
    _, X = factor_data(400)
    factor, shift = np.array([100.0, 1.0, 1.0]), np.array([7.0, 0.0, 0.0])
    X[::3, 1] = np.nan
    directions = ["above", "below", None]
    imputer, moved = (
        GNRImputer(**QUICK, prior=None, missing_direction=directions).fit(table)
        for table in (X, factor * X + shift)
    )
    close = {"rtol": 2e-3}
    np.testing.assert_allclose(
        moved.missing_threshold_, factor * imputer.missing_threshold_ + shift, **close
    )
    np.testing.assert_allclose(moved.missing_slope_, imputer.missing_slope_ / factor, **close)
    np.testing.assert_allclose(moved.missing_floor_, imputer.missing_floor_, **close)
    np.testing.assert_allclose(moved.missing_ceiling_, imputer.missing_ceiling_, **close)
    assert np.isfinite(imputer.missing_threshold_).tolist() == [True, True, False]


@pytest.mark.parametrize(("n_zeros", "is_held"), [(75, True), (74, False)])
def test_slopes_of_features_with_many_equal_values_are_held(n_zeros, is_held):
    """A quarter of the observed values; those of others are learned."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 2)) * [1.0, 5.0]
    X[:100, 0] = np.nan
    X[300:, 1] = np.nan
    X[100 : 100 + n_zeros, 0] = 0.0
    imputer = GNRImputer(**QUICK, prior=None, missing_direction=["below", "above"]).fit(X)
    steepness = np.abs(imputer.missing_slope_) * np.nanstd(X, axis=0)
    assert np.isclose(steepness, 3.0, rtol=1e-6).tolist() == [is_held, False]
    assert np.sign(imputer.missing_slope_).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("sign", [1, -1])
def test_thresholds_beyond_the_levels_that_are_seen_are_found(sign):
    complete = sign * draw("discrete", 1000)
    side = {1: "above", -1: "below"}[sign]
    X = ampute(complete, SelfMasking(1.0, direction=side), random_state=0)
    imputer = GNRImputer(missing_direction=side, prior=None, max_iter=500, random_state=0).fit(X)
    lossy = np.isnan(X).any(axis=0)
    last_seen = np.nanmax(sign * X[:, lossy], axis=0)
    # Among the levels, a low ceiling would have to explain what is missing.
    assert (sign * imputer.missing_threshold_[lossy] > last_seen).all()
    assert (imputer.missing_ceiling_[lossy] > 0.95).all()
    scale = complete.std(axis=0)
    error = imputation_rmse(complete, imputer.transform(X), np.isnan(X), scale=scale)
    # 1.2 with a threshold among the levels.
    assert error < 0.85


@pytest.mark.parametrize(("n_seen", "are_few"), [(60, True), (59, False)])
def test_levels_are_few_if_each_comes_five_times(n_seen, are_few):
    seen = np.resize(np.arange(12.0), n_seen)
    lossy = np.append(seen, np.full(n_seen, np.nan))
    X = np.column_stack([lossy, np.random.RandomState(0).normal(size=len(lossy))])
    imputer = GNRImputer(missing_direction="above", prior=None, max_iter=1, random_state=0).fit(X)
    # One step has hardly moved the threshold from where it starts.
    start = (imputer.missing_threshold_[0] - seen.mean()) / seen.std()
    assert start == pytest.approx(1.0 if are_few else 0.0, abs=0.2)


def test_where_values_are_missing_at_random_floor_and_ceiling_are_their_fraction():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(2000, 3))
    fraction = np.array([0.7, 0.3, 0.05])
    X[rng.uniform(size=X.shape) < fraction] = np.nan
    params = QUICK | {"max_iter": 400, "learning_rate": 0.03}
    imputer = GNRImputer(**params, prior=None, missing_direction="neither").fit(X)
    assert imputer.missing_direction_.tolist() == [None] * 3
    np.testing.assert_array_equal(imputer.missing_floor_, imputer.missing_ceiling_)
    np.testing.assert_allclose(imputer.missing_floor_, fraction, atol=0.03)
    assert np.isnan(imputer.missing_threshold_).all()
    assert (imputer.missing_slope_ == 0).all()


def fail(*args, **kwargs):
    raise AssertionError("nothing may be trained")


@pytest.mark.parametrize(
    "direction",
    [
        "up",
        ["above"],
        ["above", "down", None],
        [1, -1, 1],
        1.0,
        [["above"] * 3],
        [["above"], []],
        ["above", 0, None],
    ],
)
def test_wrong_directions(direction, monkeypatch):
    _, X = factor_data(30)
    monkeypatch.setattr(DeepImputer, "_train", fail)
    imputer = GNRImputer(**QUICK, missing_direction=direction)
    message = (
        "missing_direction must be 'above', 'below', 'neither', 'both', None, a sequence of 3|"
        "'missing_direction' par"
    )
    with pytest.raises(ValueError, match=message):
        imputer.fit(X)
    assert not hasattr(imputer, "net_")


@pytest.mark.parametrize("choice", [1, -1, 0])
def test_directions_of_each_feature(choice, monkeypatch):
    """Two that are known, two that are not, one without holes and one without values."""
    X = np.random.RandomState(0).normal(size=(60, 6))
    for column in range(4):
        X[column::4, column] = np.nan
    X[:, 5] = np.nan
    choose_side(monkeypatch, choice)
    params = QUICK | {"max_iter": 5, "prior": None}
    directions = ["above", "below", None, None, "above", "below"]
    imputer = GNRImputer(**params, missing_direction=directions).fit(X)
    name = {1: "above", -1: "below", 0: None}[choice]
    assert imputer.missing_direction_.tolist() == ["above", "below", name, name, None, None]
    assert np.isnan(imputer.missing_slope_).tolist() == [False] * 5 + [True]
    signs = np.sign(imputer.missing_slope_[:5])
    np.testing.assert_array_equal(signs, [1, -1, choice, choice, 0])
