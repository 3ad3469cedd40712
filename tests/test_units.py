"""The units that nets see values in, and features that are alike or of which something is known."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from gnr_sklearn import GNRImputer, MIWAEImputer, NotMIWAEImputer
from gnr_sklearn._units import Units, fit_units
from gnr_sklearn.nn.layers import InformedDense
from gnr_sklearn.nn.likelihoods import Gaussian
from gnr_sklearn.nn.networks import DataDecoder, PermutationInvariantEncoder
from gnr_sklearn.nn.processes import MissingProcess, ValueProcess
from gnr_sklearn.nn.training import RatingNoise
from tests.contract import SMALL_NET

NO_LIMIT = np.full(3, np.inf)
RATINGS = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, 5.0], [4.0, 4.0, 1.0]])

# Nothing but what is common to features, an affine decoder and enough steps to settle.
ALIKE = {
    "scaling": "shared",
    "encoder": "permutation_invariant",
    "decoder": "linear",
    "observation_scale": "shared",
    "latent_dim": 1,
    "early_stopping": False,
    "learning_rate": 1e-2,
    "max_iter": 600,
    "random_state": 0,
}


def fitted_units(scaling, values=RATINGS):
    n_features = values.shape[1]
    return fit_units(values, scaling, -NO_LIMIT[:n_features], NO_LIMIT[:n_features])


def test_ratings_lie_on_the_curve_of_the_paper():
    units = fitted_units("ratings")
    assert units.rating_range == (1.0, 5.0)
    levels = np.arange(1.0, 6.0)
    wanted = (2**levels - 1) / (2**5 - 1)
    on_curve = units.transform(np.tile(levels[:, None], 3)) * units.scale + units.center
    assert_allclose(on_curve, np.tile(wanted[:, None], 3), rtol=1e-12)
    seen = wanted[RATINGS[~np.isnan(RATINGS)].astype(int) - 1]
    assert_allclose(units.center, np.full(3, seen.mean()), rtol=1e-12)
    assert_allclose(units.scale, np.full(3, seen.std()), rtol=1e-12)
    low, high = units.limits
    assert_allclose([low, high], (np.array([0, 1]) - seen.mean()) / seen.std(), rtol=1e-12)


@given(
    low=st.floats(-50, 50),
    width=st.floats(0.1, 20),
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_units_lead_back(low, width, shares):
    values = low + width * np.array(shares).reshape(-1, 1)
    for scaling in ("observed", "shared", "ratings", None):
        units = fitted_units(scaling, values)
        back = units.inverse_transform(units.transform(values))
        assert_allclose(back, values, rtol=1e-6, atol=1e-6 * width)


def test_densities_change_by_the_derivative():
    for scaling in ("observed", "shared", "ratings"):
        units = fitted_units(scaling)
        inner = np.array([[1.5, 2.0, 4.5], [3.0, 4.9, 1.1]])
        step = 1e-5
        slope = (units.transform(inner + step) - units.transform(inner - step)) / (2 * step)
        assert_allclose(units.log_derivative(inner), np.log(slope), rtol=1e-7, atol=1e-9)


def test_expected_ratings_are_those_of_what_is_normal_on_the_curve():
    units = fitted_units("ratings")
    mean, scale = np.array([[-0.4, 0.3, 1.0]]), np.array([[0.2, 0.1, 0.3]])
    draws = norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]
    exact = units.inverse_transform(mean + scale * draws).mean(axis=0)
    expected = units.expectation(Gaussian(torch.from_numpy(mean), torch.from_numpy(scale)))
    assert_allclose(expected[0], exact, atol=0.01)
    # It lies below the rating that the mean stands for: the curve is bent.
    assert (expected < units.inverse_transform(mean)).all()


def test_bounds_are_the_levels_of_ratings():
    units = fit_units(RATINGS, "ratings", np.zeros(3), np.full(3, 6.0))
    assert units.rating_range == (0.0, 6.0)
    # Bounds that features do not share say nothing of all ratings.
    assert fit_units(RATINGS, "ratings", np.arange(3.0), NO_LIMIT).rating_range == (1.0, 5.0)
    for values, low, high in (
        (RATINGS, 2.0, 5.0),
        (RATINGS, 1.0, 4.0),
        (RATINGS * 10, -np.inf, np.inf),
    ):
        with pytest.raises(ValueError, match="scaling must not be 'ratings' unless"):
            fit_units(values, "ratings", np.full(3, low), np.full(3, high))


def test_ratings_that_are_all_the_same_come_back():
    X = np.full((30, 3), 4.0)
    X[::3, 1] = np.nan
    filled = MIWAEImputer(**SMALL_NET, scaling="ratings").fit_transform(X)
    assert_allclose(filled, 4.0, atol=0.01)


def test_mean_on_the_curve_stays_within_it():
    generator = torch.Generator().manual_seed(0)
    decoder = DataDecoder(2, 4, (), "shared", generator, mean_limits=(-1.5, 2.5))
    z = torch.linspace(-200, 200, 42).reshape(21, 2)
    mean = decoder(z).mean.detach()
    assert -1.5 <= float(mean.min()) < -1.4
    assert 2.4 < float(mean.max()) <= 2.5
    assert_allclose(decoder(torch.zeros(1, 2)).mean.detach(), 0.5, atol=1e-6)


def test_noise_on_ratings_is_that_of_the_paper():
    units = fitted_units("ratings")
    highest = units.limits[1]
    noise = RatingNoise(0.1, highest)
    x = torch.tensor([[-0.5, 1.0, highest, 0.0]]).expand(20_000, -1)
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0]).expand(20_000, -1)
    noisy = noise(x, mask, torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    on_curve = noisy.numpy() * units.scale[0] + units.center[0]
    t = x[0].numpy() * units.scale[0] + units.center[0]
    # epsilon + (1 - epsilon) t has this mean and this standard deviation.
    assert_allclose(on_curve.mean(axis=0), t, atol=3e-3)
    assert_allclose(on_curve.std(axis=0)[:3], 0.1 * (1 - t[:3]), rtol=0.03, atol=1e-7)
    assert (noisy[:, 3] == 0).all()


def test_only_training_meets_noise():
    rng = np.random.RandomState(0)
    X = rng.randint(1, 6, size=(60, 4)).astype(float)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    imputer = MIWAEImputer(**SMALL_NET, scaling="ratings", early_stopping=True).fit(X)
    assert isinstance(imputer.net_.value_noise, RatingNoise)
    assert_array_equal(imputer.transform(X), imputer.transform(X))
    filled = imputer.transform(X)
    assert (filled >= 1).all()
    assert (filled <= 5).all()
    assert MIWAEImputer(**SMALL_NET, scaling="shared").fit(X).net_.value_noise is None
    draws = imputer.sample(X, 3, random_state=0)
    assert ((draws >= 1) & (draws <= 5)).all()
    assert np.isfinite(imputer.score_samples(X)).all()


def test_informed_layer_is_what_it_says():
    generator = torch.Generator().manual_seed(0)
    info = torch.tensor([[1.0, 0.5], [1.0, -2.0], [1.0, 3.0]])
    layer = InformedDense(2, info.repeat(2, 1), generator)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
    inputs = torch.randn(5, 2, generator=generator)
    weight = layer.own_weight + torch.cat([info, info]) @ layer.common_weight
    bias = layer.own_bias + torch.cat([info, info]) @ layer.common_bias
    torch.testing.assert_close(layer(inputs), inputs @ weight.T + bias)
    layer(inputs).square().sum().backward()
    assert all((p.grad != 0).all() for p in layer.parameters())


def test_encoder_sums_codes_of_observed_cells():
    generator = torch.Generator().manual_seed(0)
    info = torch.randn(4, 3, generator=generator)
    encoder = PermutationInvariantEncoder(4, 2, (5,), generator, 3, 6, info)
    x = torch.randn(3, 4, generator=generator)
    mask = torch.tensor([[1.0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    embedding = encoder.embedding + info @ encoder.of_info.weight
    expected = torch.zeros(3, 6)
    for i, j in mask.nonzero().tolist():
        cell = torch.cat([x[i, j].view(1), embedding[j]])
        expected[i] += torch.tanh(encoder.code.weight @ cell + encoder.code.bias)
    torch.testing.assert_close(encoder.represent(x, mask), expected)
    encoder(x, mask)[0].sum().backward()
    assert all((p.grad != 0).any() for p in encoder.parameters())


def test_one_process_for_all_features():
    shared = ValueProcess([0.2, 0.4, 0.6], [1, -1, 1], shared=True)
    alone = ValueProcess([0.4], [1])
    assert sum(p.numel() for p in shared.parameters()) == 5
    x = torch.linspace(-2, 2, 5).unsqueeze(1)
    log_odds, expected = shared(x.expand(-1, 3)), alone(x)
    torch.testing.assert_close(log_odds[:, [0, 2]], expected.expand(-1, 2))
    assert all(part.shape == (3,) for part in shared.step().of_what_is_lost)
    generator = torch.Generator().manual_seed(0)
    process = MissingProcess("self_masking_known", 3, (4,), generator, [1, -1, 1], shared=True)
    assert sum(p.numel() for p in process.parameters()) == 2
    assert process(torch.ones(2, 3)).shape == (2, 3)


def alike_data(n_rows=400, n_features=30, seed=0):
    """Draw rows with a mean of their own, and keep one value in five at random."""
    rng = np.random.RandomState(seed)
    complete = 3.0 + rng.normal(size=(n_rows, 1)) + rng.normal(size=(n_rows, n_features))
    X = np.where(rng.uniform(size=complete.shape) < 0.2, complete, np.nan)
    return complete, X


def test_features_that_are_alike_are_imputed_as_by_the_exact_posterior():
    complete, X = alike_data()
    missing = np.isnan(X)
    n_seen = (~missing).sum(axis=1)
    # x_ij = 3 + b_i + e_ij with variances of 1: the expectation of b_i shrinks the row's mean.
    exact = 3.0 + np.nansum(X - 3.0, axis=1) / (n_seen + 1.0)
    filled = MIWAEImputer(**ALIKE, loading_penalty=1e5).fit_transform(X)
    off = (filled - exact[:, None])[missing]
    assert np.sqrt(np.mean(off**2)) < 0.15
    best = np.sqrt(np.mean((exact[:, None] - complete)[missing] ** 2))
    errors = {
        scaling: np.sqrt(np.mean((each - complete)[missing] ** 2))
        for scaling, each in (
            ("shared", filled),
            (
                "observed",
                MIWAEImputer(**ALIKE | {"scaling": "observed"}).fit_transform(X),
            ),
        )
    }
    assert errors["shared"] < 1.02 * best
    assert errors["shared"] < errors["observed"]


def test_what_is_known_of_features_tells_of_their_values():
    """The taste of a row for something that features have or have not."""
    rng = np.random.RandomState(0)
    info = rng.normal(size=(40, 1))
    complete = rng.normal(size=(400, 1)) * info.T + 0.5 * rng.normal(size=(400, 40))
    X = np.where(rng.uniform(size=complete.shape) < 0.1, complete, np.nan)
    missing = np.isnan(X)
    known = (~missing) @ info**2 / 0.25
    exact = np.where(missing, 0, X) @ info / 0.25 / (1.0 + known) * info.T
    errors = {}
    for name, of_features in (("told", info), ("not told", None)):
        params = ALIKE | {"feature_info": of_features}
        filled = MIWAEImputer(**params).fit_transform(X)
        errors[name] = np.sqrt(np.mean((filled - complete)[missing] ** 2))
    best = np.sqrt(np.mean((exact - complete)[missing] ** 2))
    assert errors["told"] < 1.06 * best
    assert errors["told"] < 0.9 * errors["not told"]


@pytest.mark.parametrize("scaling", ["shared", "ratings"])
def test_process_that_all_items_share_is_recovered(scaling):
    rng = np.random.RandomState(0)
    liking = 3.0 + 0.7 * rng.normal(size=(600, 1)) + 0.7 * rng.normal(size=(1, 40))
    complete = liking + 0.7 * rng.normal(size=(600, 40))
    if scaling == "ratings":
        complete = np.clip(complete, 1.0, 5.0)
    chance = 0.05 + 0.45 * norm.cdf(2.0 * (complete - 4.0))
    X = np.where(rng.uniform(size=complete.shape) < chance, complete, np.nan)
    params = ALIKE | {"scaling": scaling, "max_iter": 800, "loading_penalty": 10.0}
    imputer = GNRImputer(
        **params | {"latent_dim": 2}, missing_direction="below", prior=None, alpha=1.0
    ).fit(X)
    for name in ("threshold", "slope", "floor", "ceiling"):
        of_features = getattr(imputer, f"missing_{name}_")
        assert of_features.shape == (40,)
        assert np.ptp(of_features) == pytest.approx(0, abs=1e-12)
    filled, missing = imputer.transform(X), np.isnan(X)
    at_random = MIWAEImputer(**params | {"max_iter": 300}).fit_transform(X)
    errors = [np.mean((each - complete)[missing]) for each in (filled, at_random)]
    # Taken to be missing at random, what is not rated is thought to be liked as what is.
    assert errors[1] > 0.25
    # The mechanism is known, if not the distribution: it is not normal on the curve.
    assert abs(errors[0]) < {"shared": 0.4, "ratings": 0.6}[scaling] * errors[1]
    if scaling == "shared":
        levels = np.array([1.0, 2.0, 3.0, 4.0, 4.5])
        step = norm.cdf(imputer.missing_slope_[0] * (levels - imputer.missing_threshold_[0]))
        floor, ceiling = imputer.missing_floor_[0], imputer.missing_ceiling_[0]
        given = 1.0 - floor - (ceiling - floor) * step
        # Few values lie beyond 4.5.
        assert_allclose(given, 0.05 + 0.45 * norm.cdf(2.0 * (levels - 4.0)), atol=0.04)


@pytest.mark.parametrize("imputer", [GNRImputer(prior=None), MIWAEImputer(), NotMIWAEImputer()])
def test_feature_info_goes_with_its_features(imputer):
    _, X = alike_data(60, 5)
    X[:, 3] = np.nan
    info = np.arange(10.0).reshape(5, 2)
    imputer = clone(imputer).set_params(**SMALL_NET, feature_info=info)
    fitted = clone(imputer).fit(X)
    assert fitted.transform(X).shape == (60, 4)
    # A feature without values is left out, and what is known of it with it.
    without = clone(imputer).set_params(feature_info=info[[0, 1, 2, 4]]).fit(X[:, [0, 1, 2, 4]])
    assert_array_equal(fitted.transform(X), without.transform(X[:, [0, 1, 2, 4]]))
    decoder = fitted.net_.module_.data_decoder
    assert "own_weight" in " ".join(name for name, _ in decoder.named_parameters())
    # As a list too, and with nothing known.
    for other in (info.tolist(), np.empty((5, 0))):
        assert np.isfinite(clone(imputer).set_params(feature_info=other).fit_transform(X)).all()


def test_choices_of_gnr_know_what_is_known_of_features():
    _, X = alike_data(80, 4)
    info = np.arange(4.0).reshape(4, 1)
    for params in ({"alpha": "auto", "missing_direction": "above"}, {"missing_direction": None}):
        imputer = GNRImputer(**SMALL_NET, **params, prior=None, feature_info=info)
        assert np.isfinite(imputer.fit_transform(X)).all()


@pytest.mark.parametrize("scaling", ["shared", "ratings"])
@pytest.mark.parametrize("direction", [None, "below"])
def test_gnr_as_it_is_by_default_takes_features_that_are_alike(scaling, direction):
    rng = np.random.RandomState(0)
    X = np.clip(3 + rng.normal(size=(60, 1)) + rng.normal(size=(60, 5)), 1, 5).round()
    X[rng.uniform(size=X.shape) < 0.9 - 0.15 * X] = np.nan
    params = {name: value for name, value in SMALL_NET.items() if name != "random_state"}
    imputer = GNRImputer(**params, scaling=scaling, missing_direction=direction, random_state=0)
    filled = imputer.fit_transform(X)
    assert np.isfinite(filled).all()
    draws = imputer.sample(X, 2, random_state=0)
    assert np.isfinite(draws).all()
    if scaling == "ratings":
        assert (filled >= 1).all()
        assert (filled <= 5).all()
    again = pickle.loads(pickle.dumps(imputer))
    assert_array_equal(again.transform(X), filled)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (np.ones((4, 2)), "feature_info must have 5 rows, one for each feature of X, got 4"),
        (np.full((5, 1), np.nan), "feature_info must be a complete numeric"),
        (np.ones(5), "feature_info must be a complete numeric"),
        ([["a"], ["b"], ["c"], ["d"], ["e"]], "feature_info must be a complete numeric"),
    ],
)
def test_wrong_feature_info(info, words):
    _, X = alike_data(30, 5)
    with pytest.raises(ValueError, match=words):
        MIWAEImputer(**SMALL_NET, feature_info=info).fit(X)


def test_loading_penalty_is_a_precision():
    """The larger it is, the less features deviate from what they have in common."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 1)) * [1.0, -1.0, 0.5, 2.0, 0.2, 1.0] + rng.normal(size=(300, 6))
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    sizes = []
    for penalty in (1.0, 300.0, 1e6):
        imputer = MIWAEImputer(**ALIKE | {"max_iter": 300}, loading_penalty=penalty).fit(X)
        weight = imputer.net_.module_.data_decoder.network[-1].own_weight
        sizes.append(float(weight.detach().square().mean().sqrt()))
    assert sizes[0] > 1.5 * sizes[1] > 1.5 * sizes[2]
    assert sizes[2] < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_steps_do_not_spoil_the_encoder(seed):
    """Without smaller ones, the loss of the second batch is in the thousands, and z is lost."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 1)) * [1.0, -1.0, 0.5, 2.0, 0.2, 1.0] + rng.normal(size=(300, 6))
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    params = ALIKE | {"max_iter": 300, "random_state": seed, "loading_penalty": 1.0}
    for schedule in ("cosine", "constant"):
        imputer = MIWAEImputer(**params, learning_rate_schedule=schedule).fit(X)
        assert max(imputer.history_[:, "train_loss"]) < 10
        layer = imputer.net_.module_.data_decoder.network[-1]
        weight = (layer.own_weight + layer.info @ layer.common_weight).detach().numpy()[:, 0]
        assert (np.sign(weight / weight[0]) == [1, -1, 1, 1, 1, 1]).all()
        assert np.abs(weight[3]) > 0.9


def test_grid_search_over_the_penalty():
    _, X = alike_data(60, 5)
    search = GridSearchCV(
        MIWAEImputer(**SMALL_NET, scaling="shared", feature_info=np.arange(5.0).reshape(5, 1)),
        {"loading_penalty": [1.0, 1000.0], "scaling": ["shared", "observed"]},
        cv=2,
    ).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_units_without_levels_have_no_limits():
    assert Units(np.zeros(2), np.ones(2)).limits is None


def test_draws_that_regressions_move_stay_on_the_scale_of_ratings():
    """Also where the scale is that of the ratings observed."""
    rng = np.random.RandomState(0)
    ratings = np.clip(np.round(3 + rng.normal(size=(80, 1)) + rng.normal(size=(80, 5))), 1, 5)
    ratings[rng.uniform(size=ratings.shape) < 0.3] = np.nan
    net = SMALL_NET | {"scaling": "ratings", "missing_direction": "neither", "max_iter": 30}
    draws = GNRImputer(**net).fit(ratings).sample(ratings, 5, random_state=0)
    assert draws.min() >= 1.0
    assert draws.max() <= 5.0


@pytest.mark.parametrize("imputer", [MIWAEImputer, NotMIWAEImputer, GNRImputer])
def test_a_column_that_is_constant_but_for_rounding_is_imputed_by_its_value(imputer):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 3))
    X[:, 2] = np.where(rng.uniform(size=200) < 0.5, 0.3, 0.1 + 0.2)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    fitted = imputer(**SMALL_NET).fit(X)
    for _ in range(2):
        assert_allclose(fitted.transform(X)[:, 2], 0.3, rtol=1e-15)
        assert_allclose(fitted.sample(X, n_draws=2)[:, :, 2], 0.3, rtol=1e-15)
        # More of the same rows do not contradict it.
        fitted.partial_fit(X)
    varying = X + rng.normal(size=X.shape)
    fitted.partial_fit(varying)
    gaps = np.isnan(X[:, 2])
    assert fitted.sample(X, n_draws=2)[:, gaps, 2].std() > 0.01


def test_a_chance_that_is_the_same_for_all_values_is_not_shared():
    """Neither what it starts from, nor what it learns."""
    process = ValueProcess([0.2, 0.4, 0.9], [1, 0, 1], shared=True)
    u = torch.linspace(-3, 3, 7)[:, None].expand(-1, 3)
    missing = torch.sigmoid(-process(u))
    assert_allclose(missing[:, 1].detach(), 0.4, rtol=1e-5)
    assert (missing[:, 0].diff() >= 0).all()
    assert missing[-1, 0] - missing[0, 0] > 0.5
    missing[:, 1].sum().backward()
    assert process.threshold.grad.item() == 0
    assert process.shared_ceiling.grad.item() == 0
    assert_array_equal(process.flat_log_odds.grad != 0, [False, True, False])
    generator = torch.Generator().manual_seed(0)
    process = MissingProcess("self_masking_known", 3, (4,), generator, [1, 0, 1], shared=True)
    process(u)[:, 1].sum().backward()
    assert process.threshold.grad.item() == 0
    assert_array_equal(process.flat_log_odds.grad != 0, [False, True, False])


def test_rows_of_feature_info_are_those_of_features():
    X = pd.DataFrame(np.random.RandomState(0).normal(size=(40, 3)), columns=["a", "b", "c"])
    info = pd.DataFrame({"size": [1.0, 2.0, 3.0]}, index=list("cab"))
    imputer = MIWAEImputer(**SMALL_NET, feature_info=info)
    with pytest.raises(
        ValueError, match=r"feature_info must have a row for .* got \['c', 'a', 'b'"
    ):
        imputer.fit(X)
    # By position, where either has no names.
    for known, table in [(info.reset_index(drop=True), X), (info, X.to_numpy())]:
        imputer.set_params(feature_info=known).fit(table)
