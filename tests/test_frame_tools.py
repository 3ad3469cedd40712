"""What else takes frames with columns of several types: draws, pooled fits, pictures, searches."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gnr_sklearn import GNRImputer, MeanImputer, MIWAEImputer
from gnr_sklearn._columns import read_columns
from gnr_sklearn.metrics import make_masked_cell_scorer
from gnr_sklearn.multiple import draw_imputations, fit_pooled
from gnr_sklearn.plotting import ImputedValuesDisplay, MaskProbabilityDisplay, MissingPatternDisplay
from tests.contract import TINY, TINY_NET
from tests.mixed_frames import FULL, HOLES, MISSING

mpl.use("Agg")


def test_draws_of_a_frame(frame):
    draws = draw_imputations(MIWAEImputer(**TINY), frame, 3, bootstrap=True, random_state=0)
    assert draws.shape == (3, *frame.shape)
    for draw in draws:
        assert_array_equal(draw[~MISSING.to_numpy()], HOLES.to_numpy(object)[~MISSING.to_numpy()])
        assert set(draw[:, 2]) <= {"x", "y", "z"}


@pytest.mark.parametrize("marker", [np.nan, 2])
def test_resamples_keep_rare_categories(marker):
    """Also where the code of the category is the number that marks missing values elsewhere."""
    table = pd.DataFrame({"k": ["a", "b"] * 20, "x": np.arange(40.0)})
    table.loc[0, "k"] = "rare"
    table.loc[::5, "x"] = marker
    imputer = MIWAEImputer(missing_values=marker, **TINY)
    draws = draw_imputations(imputer, table, 6, bootstrap=True, random_state=0)
    assert all(each[0, 0] == "rare" for each in draws)


@pytest.mark.parametrize("as_container", [lambda frame: frame, pl.from_pandas])
def test_pooled_fits_see_frames(frame, as_container):
    target = FULL["number"].to_numpy()
    seen = []

    class Regression(LinearRegression):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(np.column_stack([X["flag"], X["single"]]).astype(float), y)

        def predict(self, X):
            return super().predict(np.column_stack([X["flag"], X["single"]]).astype(float))

    table = as_container(frame.drop(columns="number"))
    settings = {"coefficient_variance": lambda model, X, y: (np.ones(2), 1.0), "random_state": 0}
    fit = fit_pooled(Regression(), MIWAEImputer(**TINY), table, target, 2, **settings)
    assert fit.coef_.estimate.shape == (2,)
    assert type(seen[0]) is type(table)
    assert list(seen[0].columns) == list(table.columns)
    if isinstance(table, pd.DataFrame):
        assert (seen[0].dtypes == table.dtypes).all()
        assert not seen[0].isna().any().any()
    else:
        assert seen[0].schema == table.schema
        assert seen[0].null_count().sum_horizontal().item() == 0
    # Numbers and flags alone make a least-squares fit as they are.
    plain = frame[["flag", "single", "seen"]]
    fit = fit_pooled(LinearRegression(), MIWAEImputer(**TINY), plain, target, 3, random_state=0)
    assert (fit.coef_.standard_error > 0).all()
    with pytest.raises(ValueError, match="imputer must return the columns of a data frame with ca"):
        fit_pooled(
            Regression(), MIWAEImputer(**TINY, add_indicator=True), table, target, 2, **settings
        )


def test_pooled_fits_with_a_marker_that_is_a_number():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"k": rng.uniform(size=60) < 0.5, "a": rng.normal(size=60)})
    target = table["a"] + rng.normal(size=60)
    table.loc[::4, "a"] = -999.0
    seen = []

    class Spy(LinearRegression):
        def fit(self, X, y):
            seen.append(np.asarray(X, dtype=float))
            return super().fit(X, y)

    settings = {"n_draws": 2, "random_state": 0}
    fit_pooled(Spy(), MIWAEImputer(**TINY, missing_values=-999.0), table, target, **settings)
    assert min(map(np.min, seen)) > -10


def test_pooled_fits_know_the_names_of_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(np.exp(rng.normal(size=(60, 2))), columns=["a", "y0"])
    table.loc[::4, "a"] = np.nan
    imputer = MIWAEImputer(**TINY, likelihood={"a": "log_normal"})
    pooled = fit_pooled(LinearRegression(), imputer, table, table["y0"], 2, random_state=0)
    assert list(pooled.feature_names_) == ["a", "y0"]


def test_pooled_fits_of_frames_whose_names_are_numbers():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({0: rng.normal(size=60), 1: rng.choice(list("ab"), 60)})
    table.loc[::5, 0] = np.nan
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough"),
        LinearRegression(),
    )
    fit = fit_pooled(model, MIWAEImputer(**TINY), table, rng.normal(size=60), n_draws=2)
    assert np.isfinite(fit.coef_.estimate).all()


def test_pooled_fits_find_a_free_name_for_y():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["y0", "y0_", "x"])
    table.iloc[::5, 0] = np.nan
    fit = fit_pooled(
        LinearRegression(), MIWAEImputer(**TINY), table, rng.normal(size=60), n_draws=2
    )
    assert fit.feature_names_.tolist() == ["y0", "y0_", "x"]


def test_pictures_of_frames(frame):
    imputer = GNRImputer(**TINY_NET, missing_direction="above").fit(frame)
    display = ImputedValuesDisplay.from_estimator(imputer, frame)
    assert display.feature_names == list(HOLES.columns[:-1])
    kind = display.feature_names.index("kind")
    assert [tick.get_text() for tick in display.axes_[kind].get_xticklabels()] == ["x", "y", "z"]
    assert sum(len(values) for values in display.imputed) == MISSING.to_numpy().sum()
    named = imputer.set_output(transform="pandas").transform(frame)
    strip = ImputedValuesDisplay.from_predictions(frame, named, kind="strip")
    assert_array_equal(strip.imputed[kind], display.imputed[kind])
    assert MissingPatternDisplay.from_data(frame).missing_fraction[0] == MISSING["number"].mean()
    MaskProbabilityDisplay.from_estimator(imputer, frame)
    plt.close("all")


def test_a_search_over_frames(frame):
    scorer = make_masked_cell_scorer(0.3, random_state=0)
    imputer = MeanImputer().fit(frame)
    errors, n_removed = 0.0, 0
    removed = scorer._removed(read_columns(frame)[1], ~MISSING.to_numpy())
    for place, name in enumerate(frame.columns):
        gone, seen = frame[name][removed[:, place]], frame[name].dropna()
        left = frame[name][~removed[:, place]].dropna()
        assert len(left) > 0
        n_removed += len(gone)
        filled = imputer.transform(frame)[0, place]
        if name in ("number", "whole", "single"):
            mean = seen.astype(float).mean()
            filled = round(mean) if name == "whole" else mean
            errors += (((gone.astype(float) - filled) / seen.astype(float).std(ddof=0)) ** 2).sum()
        else:
            errors += (gone.astype(object) != seen.mode()[0]).sum()
    # The columns' types hardly matter: MeanImputer fills in what it learned in fit.
    assert scorer(imputer, frame) == pytest.approx(-np.sqrt(errors / n_removed), rel=1e-6)
    table = pl.from_pandas(frame)
    assert scorer(clone(imputer).fit(table), table) == pytest.approx(scorer(imputer, frame))
    search = GridSearchCV(MIWAEImputer(**TINY), {"latent_dim": [1, 2]}, scoring=scorer, cv=2)
    search.fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(ValueError, match="must have the columns of X, and none of its values miss"):
        scorer(MeanImputer(add_indicator=True).fit(frame), frame)


def test_a_part_of_the_rows_may_lack_a_category():
    """The imputer knows it, and is right to impute it, where what is looked at has none of it."""
    frame = pd.DataFrame({"kind": ["a"] * 30 + ["b"] * 3, "x": np.arange(33.0)})
    part = frame[:10].copy()
    part.loc[3:4, "kind"] = None

    class SaysB(MeanImputer):
        def _impute(self, values):
            imputed = super()._impute(values)
            return np.where(np.isnan(values) & (np.arange(2) == 0), 1.0, imputed)

    imputer = SaysB().fit(frame)
    scorer = make_masked_cell_scorer(0.5, metric="mae", random_state=0)
    removed = scorer._removed(read_columns(part)[1], part.notna().to_numpy())
    values = part["x"].to_numpy()
    errors = np.abs(values - frame["x"].mean())[removed[:, 1]] / values.std()
    # Each removed category counts as an error of 1.
    expected = (errors.sum() + removed[:, 0].sum()) / removed.sum()
    assert scorer(imputer, part) == pytest.approx(-expected)
    for container in ("default", "pandas"):
        imputer.set_output(transform=container)
        display = ImputedValuesDisplay.from_estimator(imputer, part)
        assert display.categories["kind"] == ("a", "b")
        assert_array_equal(display.imputed[0], [1.0, 1.0])
    plt.close("all")
    with pytest.raises(ValueError, match="missing_values must be NaN for a data frame with categ"):
        scorer(imputer.set_params(missing_values=-1), part)
