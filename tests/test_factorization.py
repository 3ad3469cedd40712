"""Matrix factorisation against its losses as they are written, and on data with a known truth."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.optimize import approx_fprime
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from benchmarks.protocols import find_data_dir
from gnr_sklearn import MFImputer
from gnr_sklearn._als import Factors, LeastSquares, Ratings, predicted
from gnr_sklearn._propensities import (
    LogisticPropensity,
    MarginalPropensity,
    NaiveBayesPropensity,
)
from gnr_sklearn.datasets import load_coat
from gnr_sklearn.metrics import make_masked_cell_scorer

METHODS = ["mf", "ips", "snips", "dr", "dr-jl", "cvib"]
WITH_PROPENSITIES = ["ips", "snips", "dr", "dr-jl"]
L2, BALANCE, CONFIDENCE = 0.7, 3.0, 0.2


def small_ratings(n=6, d=5, seed=0):
    """Ratings in standard units, of which some are missing, with their propensities."""
    rng = np.random.RandomState(seed)
    observed = rng.uniform(size=(n, d)) < 0.6
    observed[0], observed[:, 0] = True, True
    values = np.where(observed, rng.normal(size=(n, d)), np.nan)
    return Ratings.of(values, 1.0 / rng.uniform(0.2, 0.9, size=(n, d)))


def tables(ratings):
    """Return ratings, where they are, and inverse propensities, as matrices with zeros."""
    values, inverse = (part.toarray() for part in ratings)
    return values, inverse > 0, inverse


def make_solver(method, ratings, **params):
    return LeastSquares(
        method,
        L2,
        n_observed=ratings.values.nnz,
        n_missing=np.prod(ratings.values.shape) - ratings.values.nnz,
        inverse_sum=ratings.inverse.sum(),
        balance=BALANCE,
        confidence_penalty=CONFIDENCE,
        **params,
    )


def documented_loss(method, ratings, prediction, imputed=0.0):
    """The table in the docstring, with the average at 0; `imputed` stands for a rating."""
    r, o, inverse = tables(ratings)
    error = (r - prediction) ** 2
    n_observed, n_cells = o.sum(), o.size
    if method == "mf":
        return error[o].sum() / n_observed
    if method == "ips":
        return (error * inverse).sum() / n_cells
    if method == "snips":
        return (error * inverse).sum() / inverse.sum()
    if method in ("dr", "dr-jl"):
        guessed = (imputed - prediction) ** 2
        return (guessed.sum() + ((error - guessed) * inverse).sum()) / n_cells
    difference = prediction[o].mean() - prediction[~o].mean()
    return (
        error[o].sum() / n_observed
        + BALANCE * difference**2
        + CONFIDENCE * (prediction**2).sum() / n_cells
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_minimises_the_documented_loss(method, transposed):
    ratings = small_ratings()
    ratings = ratings.transposed if transposed else ratings
    n, d = ratings.values.shape
    rng = np.random.RandomState(1)
    items = Factors(rng.normal(size=(d, 3)), rng.normal(size=(d, 3)))
    solver = make_solver(method, ratings, limits=(-1.0, 1.5))
    users = solver.solve(ratings, items, learn=True)
    imputed = 0.0
    if method == "dr-jl":
        first = make_solver("snips", ratings).solve(ratings, items).main
        imputed = predicted(first, items.main) + predicted(users.residual, items.residual)
        imputed = np.clip(imputed, -1.0, 1.5)

    def loss(factors):
        own = factors.reshape(n, 3)
        prediction = predicted(own, items.main)
        of_ratings = documented_loss(method, ratings, prediction, imputed)
        return ratings.values.nnz * of_ratings + L2 * (own**2).sum()

    solution = users.main.ravel()
    slopes = approx_fprime(solution, loss, 1e-6)
    assert np.abs(slopes).max() < 1e-3
    elsewhere = approx_fprime(solution + 0.1, loss, 1e-6)
    assert np.abs(elsewhere).max() > 0.3


def test_what_ratings_are_off_is_learned_by_weighted_least_squares():
    ratings = small_ratings()
    rng = np.random.RandomState(1)
    items = Factors(rng.normal(size=(5, 3)), rng.normal(size=(5, 3)))
    solver = make_solver("dr-jl", ratings)
    users = solver.solve(ratings, items)
    values, observed, inverse = tables(ratings)
    weights = inverse / inverse.sum() * observed.sum()
    first = make_solver("snips", ratings).solve(ratings, items).main
    off = values - predicted(first, items.main)

    def loss(factors):
        own = factors.reshape(-1, 3)
        error = (off - predicted(own, items.residual)) ** 2
        return (weights * error)[observed].sum() + L2 * (own**2).sum()

    assert np.abs(approx_fprime(users.residual.ravel(), loss, 1e-6)).max() < 1e-3


def test_rows_that_are_not_learned_from_meet_the_imbalance_of_those_that_are():
    ratings = small_ratings()
    items = Factors(np.random.RandomState(1).normal(size=(5, 3)))
    solver = make_solver("cvib", ratings)
    learned = solver.solve(ratings, items, learn=True).main
    prediction = predicted(learned, items.main)
    _, o, _ = tables(ratings)
    assert solver.imbalance == pytest.approx(prediction[o].mean() - prediction[~o].mean())
    one = Ratings(*(part[[2]] for part in ratings))
    np.testing.assert_allclose(solver.solve(one, items).main, learned[2:3])


def self_selected(seed, n=150, d=60, strength=1.2):
    """Ratings of low rank, all of them, those that are given, and their propensities."""
    rng = np.random.RandomState(seed)
    quality = 0.7 * rng.normal(size=d)
    full = quality + rng.normal(size=(n, 2)) @ rng.normal(size=(2, d)) * 0.6
    full = 3.0 + full + 0.3 * rng.normal(size=(n, d))
    propensity = 1.0 / (1.0 + np.exp(1.5 - strength * (full - 3.0)))
    given = np.where(rng.uniform(size=full.shape) < propensity, full, np.nan)
    return full, given, propensity


@pytest.mark.parametrize("method", WITH_PROPENSITIES)
def test_known_propensities_bring_predictions_closer_to_all_ratings(method):
    gains = []
    for seed in range(20):
        full, given, propensity = self_selected(seed)
        # What is doubly robust varies more, by targets as far out as a rating over its propensity.
        settings = {"embedding_dim": 2, "l2": 30.0 if method == "dr" else 3.0, "random_state": 0}
        plain = MFImputer(**settings).fit_transform(given)
        debiased = MFImputer(method=method, **settings).fit_transform(given, propensity=propensity)
        unseen = np.isnan(given)
        risk, debiased_risk = (
            np.mean((filled - full)[unseen] ** 2) for filled in (plain, debiased)
        )
        gains.append(risk - debiased_risk)
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(20)


def risk_differences(method, ratings, background, predictions):
    """How much worse the second of two predictions is by the loss that the library minimises."""
    squares = make_solver(method, ratings)._squares(ratings, background)
    weights, weighted = squares.weights.toarray() + squares.of_all, squares.weighted.toarray()
    if squares.background is not None:
        weighted = weighted + squares.of_all * squares.background
    # Up to what is the same for all predictions.
    first, second = ((weights * p**2 - 2 * weighted * p).sum() for p in predictions)
    return (second - first) / ratings.values.nnz


@pytest.mark.parametrize(
    ("method", "propensities", "errors", "is_right"),
    [
        ("mf", "right", "wrong", False),
        ("ips", "right", "wrong", True),
        ("snips", "right", "wrong", True),
        ("dr", "right", "wrong", True),
        ("dr", "wrong", "right", True),
        ("dr", "right", "right", True),
        ("dr", "wrong", "wrong", False),
        ("dr-jl", "right", "wrong", True),
        ("dr-jl", "wrong", "right", True),
        ("dr-jl", "wrong", "wrong", False),
        ("ips", "wrong", "wrong", False),
    ],
)
def test_risks_are_those_of_all_ratings_where_one_model_is_right(
    method, propensities, errors, is_right
):
    """Over twenty draws, for the difference between two predictions."""
    estimates = []
    expected = []
    for seed in range(20):
        full, given, propensity = self_selected(seed)
        mean = np.nanmean(given)
        observed = ~np.isnan(given)
        chances = propensity if propensities == "right" else np.full(full.shape, observed.mean())
        background = full - mean if errors == "right" else None
        ratings = Ratings.of(given - mean, 1 / chances)
        predictions = 0.0, 1.0
        estimates.append(risk_differences(method, ratings, background, predictions))
        expected.append(np.mean((full - mean - 1.0) ** 2) - np.mean((full - mean) ** 2))
    off = np.array(estimates) - expected
    bias, error = off.mean(), off.std() / np.sqrt(20)
    if is_right:
        assert abs(bias) < max(3 * error, 0.02 * np.abs(expected).mean())
    else:
        assert abs(bias) > 10 * error
        assert abs(bias) > 0.2 * np.abs(expected).mean()


@pytest.mark.parametrize("method", METHODS)
def test_low_rank_ratings_are_found_again(method):
    rng = np.random.RandomState(0)
    full = 3.0 + rng.normal(size=(80, 2)) @ rng.normal(size=(2, 40)) + rng.normal(size=40)
    X = np.where(rng.uniform(size=full.shape) < 0.5, full, np.nan)
    imputer = MFImputer(
        method=method, embedding_dim=2, l2=0.05, max_iter=300, tol=1e-5, random_state=0
    )
    imputed = imputer.set_params(balance=0.0, confidence_penalty=0.0).fit_transform(
        X, propensity=np.full(X.shape, 0.5)
    )
    error = np.sqrt(np.mean((imputed - full)[np.isnan(X)] ** 2))
    assert error < (0.5 if method == "dr" else 0.1) * full.std()


def test_biases_alone_are_a_ridge_regression_on_users_and_items():
    _, X, _ = self_selected(0, n=30, d=12)
    imputer = MFImputer(embedding_dim=0, l2=2.0, max_iter=500, tol=0.0).fit(X)
    users, items = np.nonzero(~np.isnan(X))
    standard = (X[users, items] - np.nanmean(X)) / np.nanstd(X)
    design = np.zeros((len(users), 42))
    design[np.arange(len(users)), users] = design[np.arange(len(users)), 30 + items] = 1.0
    gram = design.T @ design + 2.0 * np.eye(42)
    biases = np.linalg.solve(gram, design.T @ standard)
    expected = np.nanmean(X) + np.nanstd(X) * (biases[:30, None] + biases[30:])
    np.testing.assert_allclose(imputer.transform(X)[np.isnan(X)], expected[np.isnan(X)], rtol=1e-6)
    np.testing.assert_allclose(imputer.item_bias_, np.nanstd(X) * biases[30:], rtol=1e-5)
    assert imputer.components_.shape == (0, 12)


@pytest.mark.parametrize("method", METHODS)
def test_users_that_were_not_in_fit_are_solved_for(method):
    _, X, _ = self_selected(0)
    imputer = MFImputer(method=method, random_state=0).fit(X[:120])
    filled = imputer.transform(X)
    np.testing.assert_allclose(imputer.transform(X[130:131]), filled[130:131])
    without = imputer.transform(np.full((1, 60), np.nan))[0]
    of_items = imputer.center_ + imputer.item_bias_
    if method in ("mf", "ips", "snips"):
        np.testing.assert_allclose(without, of_items)
    assert np.corrcoef(without, of_items)[0, 1] > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_other_units_of_ratings(method):
    _, X, _ = self_selected(0)
    plain = MFImputer(method=method, random_state=0).fit_transform(X)
    stretched = MFImputer(method=method, random_state=0).fit_transform(20 * X - 7)
    np.testing.assert_allclose(stretched, 20 * plain - 7)


@pytest.mark.parametrize("method", ["ips", "snips"])
def test_users_are_solved_for_from_ratings_that_were_held_out(method):
    """The documented loss is that of all ratings, whichever of them told when to stop."""
    _, X, _ = self_selected(0)
    imputer = MFImputer(
        method=method, early_stopping=True, validation_fraction=0.5, l2=2.0, random_state=0
    ).fit(X)
    observed = ~np.isnan(X)
    inverse = 1.0 / imputer._propensities(X, None, None)
    total = X.size if method == "ips" else inverse[observed].sum()
    ratings = (X - imputer.center_ - imputer.item_bias_) / imputer.scale_
    expected = np.empty(X.shape)
    for row, seen in enumerate(observed):
        design = np.column_stack([np.ones(X.shape[1]), imputer.components_.T])
        weighted = design[seen] * (observed.sum() / total * inverse[row, seen])[:, np.newaxis]
        left = weighted.T @ design[seen] + 2.0 * np.eye(design.shape[1])
        own = np.linalg.solve(left, weighted.T @ ratings[row, seen])
        expected[row] = imputer.center_ + imputer.item_bias_ + imputer.scale_ * (design @ own)
    np.testing.assert_allclose(imputer.transform(X)[~observed], expected[~observed], rtol=1e-6)


@pytest.mark.parametrize("method", ["mf", "snips", "cvib"])
def test_early_stopping_keeps_the_items_of_the_lowest_error(method, capsys):
    """Of ratings that are noise, which embeddings learn by heart."""
    X = np.random.RandomState(0).normal(size=(60, 30))
    X[X > 0.8] = np.nan
    imputer = MFImputer(
        method=method,
        embedding_dim=10,
        l2=0.05,
        max_iter=100,
        tol=0.0,
        early_stopping=True,
        n_iter_no_change=7,
        random_state=0,
        verbose=1,
    ).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == imputer.n_iter_ < 100
    errors = [float(line.rpartition(" ")[2]) for line in lines]
    best = int(np.argmin(errors)) + 1
    assert imputer.n_iter_ == best + 7
    shorter = MFImputer(**imputer.get_params() | {"max_iter": best, "verbose": 0}).fit(X)
    np.testing.assert_array_equal(shorter.components_, imputer.components_)
    np.testing.assert_array_equal(shorter.transform(X), imputer.transform(X))


def test_sweeps_end_when_predictions_settle(capsys):
    _, X, _ = self_selected(0)
    MFImputer(tol=0.01, verbose=1, random_state=0).fit(X)
    changes = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert changes[-1] <= 0.01 < min(changes[:-1])


def test_a_propensity_is_clipped():
    _, X, propensity = self_selected(0)
    lowest = np.where(propensity < 0.3, 1e-9, propensity)
    clipped = np.where(propensity < 0.3, 0.3, propensity)
    settings = {"method": "ips", "random_state": 0, "propensity_clip": 0.3}
    np.testing.assert_array_equal(
        MFImputer(**settings).fit_transform(X, propensity=lowest),
        MFImputer(**settings).fit_transform(X, propensity=clipped),
    )


def test_propensities_of_columns_without_ratings_are_passed_over():
    _, X, propensity = self_selected(0)
    wider = np.insert(X, 3, np.nan, axis=1)
    filled = MFImputer(method="snips", random_state=0).fit_transform(
        wider, propensity=np.insert(propensity, 3, 0.5, axis=1)
    )
    expected = MFImputer(method="snips", random_state=0).fit_transform(X, propensity=propensity)
    np.testing.assert_array_equal(filled, expected)


# Where propensities come from


def test_marginal_propensities_are_products_of_margins():
    X = np.array([[1.0, 2.0, np.nan, 4.0], [np.nan, 1.0, np.nan, 3.0]])
    chances = MarginalPropensity(X).predict(X, None)
    expected = np.outer([0.75, 0.5], [0.5, 1.0, 0.0, 1.0]) / 0.625
    np.testing.assert_allclose(chances, expected)


def test_naive_bayes_finds_chances_that_depend_on_the_rating():
    rng = np.random.RandomState(0)
    full = rng.choice([1.0, 2.0, 3.0, 5.0], p=[0.4, 0.3, 0.2, 0.1], size=(400, 300))
    chance = {1.0: 0.02, 2.0: 0.05, 3.0: 0.1, 5.0: 0.4}
    propensity = np.vectorize(chance.get)(full)
    given = np.where(rng.uniform(size=full.shape) < propensity, full, np.nan)
    sample = rng.choice(full.ravel(), 20_000)
    estimator = NaiveBayesPropensity(given, sample)
    found = estimator.predict(np.array([[1.0, 2.0, 3.0, 5.0, 0.0, 4.6]]), None)[0]
    np.testing.assert_allclose(found[:4], list(chance.values()), rtol=0.1)
    # Ratings that it has not met are taken for the nearest.
    np.testing.assert_array_equal(found[4:], found[[0, 3]])


def test_naive_bayes_allows_for_ratings_that_one_sample_lacks():
    estimator = NaiveBayesPropensity(np.array([[1.0, 2.0, np.nan]]), np.array([2.0, 3.0]))
    expected = np.array([2 / 5, 2 / 5, 1 / 5]) * (2 / 3) / np.array([1 / 5, 2 / 5, 2 / 5])
    np.testing.assert_allclose(estimator.predict(np.array([[1.0, 2.0, 3.0]]), None)[0], expected)


def test_side_information_tells_who_rates_what():
    rng = np.random.RandomState(0)
    side = rng.normal(size=(3000, 2)) * [1.0, 100.0]
    logits = np.column_stack([side[:, 0], -side[:, 1] / 100, np.full(3000, 9.0), np.zeros(3000)])
    chance = 1 / (1 + np.exp(-logits))
    X = np.where(rng.uniform(size=chance.shape) < chance, 1.0, np.nan)
    X[:, 2], X[:, 3] = 1.0, np.nan
    found = LogisticPropensity(X, side).predict(X, side)
    np.testing.assert_allclose(found[:, :2], chance[:, :2], atol=0.05)
    np.testing.assert_array_equal(found[:, 2:], np.outer(np.ones(3000), [1.0, 0.0]))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_given_beside_ratings_is_used_where_there_is_a_use_for_it(method):
    full, X, propensity = self_selected(0)
    side = full[:, :3]
    plain = MFImputer(method=method, random_state=0).fit_transform(X)
    others = [
        MFImputer(method=method, random_state=0).fit_transform(X, **given)
        for given in (
            {"propensity": propensity},
            {"mar_sample": full[:3]},
            {"side_info": side},
        )
    ]
    for other in others:
        assert np.array_equal(other, plain) == (method not in WITH_PROPENSITIES)
    # Given propensities come first, and a sample before side information.
    imputer = MFImputer(method=method, random_state=0)
    all_given = {"propensity": propensity, "mar_sample": full[:3], "side_info": side}
    np.testing.assert_array_equal(imputer.fit_transform(X, **all_given), others[0])
    del all_given["propensity"]
    np.testing.assert_array_equal(imputer.fit_transform(X, **all_given), others[1])


def test_rounding_makes_no_other_ratings():
    """Where they are no binary fractions, as tenths are not."""
    full, X, _ = self_selected(0)
    sample = full[:20].round() / 10
    X = X.round() / 10
    imputer = MFImputer(method="ips", random_state=0)
    expected = imputer.fit_transform(X, mar_sample=sample)
    levels = imputer._estimator.levels
    assert len(levels) == 10
    for ratings, other in ((np.float32(X), sample), (X, np.float32(sample))):
        found = imputer.fit_transform(ratings, mar_sample=other)
        np.testing.assert_allclose(imputer._estimator.levels, levels, atol=1e-7)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("method", ["mf", "ips"])
def test_propensities_of_columns_in_another_order_are_refused(method):
    _, X, propensity = self_selected(0)
    names = [f"item {j}" for j in range(X.shape[1])]
    X, chances = (pd.DataFrame(table, columns=names) for table in (X, propensity))
    imputer = MFImputer(method=method, random_state=0)
    expected = imputer.fit_transform(X, propensity=propensity)
    np.testing.assert_array_equal(imputer.fit_transform(X, propensity=chances), expected)
    with pytest.raises(ValueError, match="propensity must have the columns of X, in that order"):
        imputer.fit(X, propensity=chances[names[::-1]])
    if method == "ips":
        with pytest.raises(ValueError, match="propensity must have the columns of X"):
            imputer.transform(X, propensity=chances[names[::-1]])


def test_samples_of_ratings_of_any_shape():
    full, X, _ = self_selected(0)
    sample = full[:6].round()
    imputer = MFImputer(method="ips", random_state=0)
    expected = imputer.fit_transform(X, mar_sample=sample)
    ratings = pd.array([*sample.ravel().astype(int), None], dtype="Int64")
    for other in (sample.reshape(2, 3, -1), ratings):
        np.testing.assert_array_equal(imputer.fit_transform(X, mar_sample=other), expected)


def test_too_little_regularisation_is_named():
    X = np.random.default_rng(0).integers(1, 6, size=(20, 4)).astype(float)
    X[::3, 0] = np.nan
    with pytest.raises(ValueError, match=r"l2 must be larger for these ratings, got 1e-20"):
        MFImputer(l2=1e-20, embedding_dim=6, random_state=0).fit(X)


def test_gaps_in_a_sample_of_ratings_are_passed_over():
    """However they are marked."""
    full, X, propensity = self_selected(0)
    sample = np.where(np.arange(full[:5].size).reshape(full[:5].shape) % 3, np.nan, full[:5])
    # Whole ratings from 1 on, so that 0 is none.
    full, sample, X = (np.round(table) + 10.0 for table in (full, sample, X))
    imputer = MFImputer(method="ips", random_state=0)
    expected = imputer.fit_transform(X, mar_sample=sample)
    masked = np.ma.masked_array(np.nan_to_num(sample, nan=99.0), np.isnan(sample))
    np.testing.assert_array_equal(imputer.fit_transform(X, mar_sample=masked), expected)
    imputer.set_params(missing_values=0)
    marked, zeros = np.nan_to_num(X, nan=0.0), np.nan_to_num(sample, nan=0.0)
    np.testing.assert_array_equal(imputer.fit_transform(marked, mar_sample=zeros), expected)
    chances = np.ma.masked_array(propensity, np.zeros(propensity.shape, dtype=bool))
    chances[0, 0] = np.ma.masked
    with pytest.raises(ValueError, match="propensity must be a complete numeric matrix"):
        MFImputer(method="ips").fit(X, propensity=chances)


def test_fit_and_transform_are_the_same_in_one_and_in_two_steps():
    full, X, propensity = self_selected(0)
    imputer = MFImputer(method="dr", random_state=0).fit(X, propensity=propensity)
    two = imputer.transform(X, propensity=propensity)
    np.testing.assert_array_equal(imputer.fit_transform(X, propensity=propensity), two)
    imputer = MFImputer(method="dr", random_state=0).fit(X, side_info=full[:, :2])
    two = imputer.transform(X, side_info=full[:, :2])
    np.testing.assert_array_equal(imputer.fit_transform(X, side_info=full[:, :2]), two)
    frame = pd.DataFrame(X, columns=[f"item {i}" for i in range(60)])
    named = imputer.set_output(transform="pandas").fit_transform(frame, side_info=full[:, :2])
    np.testing.assert_array_equal(named, two)


def test_in_a_pipeline_by_metadata_routing():
    _, X, propensity = self_selected(0)
    expected = MFImputer(method="ips", random_state=0).fit_transform(X, propensity=propensity)
    with sklearn.config_context(enable_metadata_routing=True):
        imputer = MFImputer(method="ips", random_state=0)
        imputer.set_fit_request(propensity=True).set_transform_request(propensity=True)
        pipeline = Pipeline([("impute", imputer)])
        filled = pipeline.fit_transform(X, propensity=propensity)
    np.testing.assert_array_equal(filled, expected)


def test_a_search_over_sizes_and_penalties():
    rng = np.random.RandomState(0)
    full = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 30)) * 2 + 0.1 * rng.normal(
        size=(120, 30)
    )
    X = np.where(rng.uniform(size=full.shape) < 0.7, full, np.nan)
    search = GridSearchCV(
        MFImputer(random_state=0),
        {"embedding_dim": [0, 2], "l2": [0.3, 300.0]},
        scoring=make_masked_cell_scorer(0.2),
        cv=3,
    ).fit(X)
    assert search.best_params_ == {"embedding_dim": 2, "l2": 0.3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"propensity": np.ones((3, 2))}, r"propensity must have the shape of X, \(150, 60\)"),
        ({"propensity": np.zeros((150, 60))}, "above 0 and at most 1, got values from 0 to 0"),
        ({"propensity": np.full((150, 60), 1.1)}, "at most 1, got values from 1.1"),
        ({"propensity": np.full((150, 60), np.nan)}, "propensity must be a complete numeric"),
        ({"propensity": "all"}, "propensity must be a complete numeric"),
        ({"mar_sample": [np.nan]}, "mar_sample must hold one rating at least"),
        ({"mar_sample": []}, "mar_sample must hold one rating at least"),
        ({"mar_sample": ["good"]}, "mar_sample must hold ratings"),
        ({"mar_sample": [np.inf]}, "mar_sample must hold ratings"),
        ({"side_info": np.ones((3, 2))}, "side_info must have 150 rows"),
        ({"side_info": np.full((150, 2), np.nan)}, "side_info must be a complete numeric"),
    ],
)
@pytest.mark.parametrize("method", ["mf", "ips"])
def test_wrong_things_beside_ratings(given, message, method):
    _, X, _ = self_selected(0)
    imputer = MFImputer(method=method)
    with pytest.raises(ValueError, match=message):
        imputer.fit(X, **given)
    assert not hasattr(imputer, "components_")


def test_what_was_given_in_fit_is_asked_for_in_transform():
    full, X, propensity = self_selected(0)
    imputer = MFImputer(method="ips").fit(X, propensity=propensity)
    with pytest.raises(ValueError, match="propensity must be given for the rows of X"):
        imputer.transform(X)
    with pytest.raises(ValueError, match=r"propensity must have the shape of X, \(2, 60\)"):
        imputer.transform(X[:2], propensity=propensity)
    imputer = MFImputer(method="ips").fit(X, side_info=full[:, :2])
    with pytest.raises(ValueError, match="side_info must be given for the rows of X"):
        imputer.transform(X)
    with pytest.raises(ValueError, match="side_info must have 2 columns, as in fit"):
        imputer.transform(X, side_info=full[:, :3])


DATA_DIR = find_data_dir(None)
HAS_COAT = DATA_DIR is not None and (DATA_DIR / "coat" / "train.ascii").is_file()


@pytest.mark.skipif(not HAS_COAT, reason="needs the folder with Coat")
@pytest.mark.parametrize(
    # The paper's errors, but for "cvib", which is another loss than there.
    ("method", "most"),
    [("mf", 1.30), ("ips", 1.23), ("snips", 1.23), ("dr", 1.31), ("dr-jl", 1.22), ("cvib", 1.31)],
)
def test_real_ratings(method, most):
    coat = load_coat(DATA_DIR)
    imputer = MFImputer(method=method, random_state=0)
    filled = imputer.fit_transform(coat.train, propensity=coat.propensities)
    asked = np.isfinite(coat.test) & np.isnan(coat.train)
    assert np.mean((filled - coat.test)[asked] ** 2) < most


def test_doubly_robust_targets_know_of_ratings_that_are_held_out():
    """These are not observed, which makes the others as much rarer as they stand for more."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=30)
    full = quality + 0.3 * rng.normal(size=(1000, 30))
    given = np.where(rng.uniform(size=full.shape) < 0.5, full, np.nan)
    slopes = []
    for held_out in (False, True):
        imputer = MFImputer(
            method="dr", embedding_dim=1, l2=50.0, random_state=0, early_stopping=held_out,
            validation_fraction=0.4,
        )  # fmt: skip
        imputer.fit(given, propensity=np.full(full.shape, 0.5))
        slopes.append(np.polyfit(quality, imputer.item_bias_, 1)[0])
    # Otherwise it is six tenths.
    assert slopes[1] == pytest.approx(slopes[0], rel=0.12)
