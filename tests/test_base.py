"""The base class: what it gives to an imputer, and what it says of wrong input."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import gnr_sklearn
from gnr_sklearn._base import BaseImputer
from tests.toy_imputers import (
    BoundedMixedToyImputer,
    BoundedToyImputer,
    MixedToyImputer,
    ToyImputer,
)

# What the base class gives to a subclass and takes from it


def test_a_subclass_sees_floats_with_nan_and_no_empty_columns():
    X = np.array([[1, -1, 3], [4, -1, -1], [7, -1, 9]], dtype=np.int32)
    imputer = ToyImputer(missing_values=-1)
    X_imputed = imputer.fit_transform(X)
    assert_array_equal(imputer.values_fitted_, [[1.0, 3.0], [4.0, np.nan], [7.0, 9.0]])
    assert imputer.values_fitted_.dtype == np.float64
    # Complete rows are none of its business, and neither are observed values.
    assert_array_equal(imputer.values_imputed_, [[4.0, np.nan]])
    assert_array_equal(X_imputed, [[1.0, 3.0], [4.0, 0.5], [7.0, 9.0]])


def test_a_subclass_is_not_asked_about_complete_rows_alone():
    imputer = ToyImputer().fit([[1.0], [np.nan]])
    imputer.transform([[1.0], [2.0]])
    assert not hasattr(imputer, "values_imputed_")


@pytest.mark.parametrize("container", [np.array, pd.DataFrame])
def test_markers_of_pandas_among_objects(container):
    X = container(np.array([[1.0, pd.NA], [2.0, 3.0], [None, np.nan]], dtype=object))
    assert_array_equal(ToyImputer().fit_transform(X), [[1.0, 0.5], [2.0, 3.0], [0.5, 0.5]])
    # They are not the marker here.
    with pytest.raises(ValueError, match="X must not hold NaN"):
        ToyImputer(missing_values=-1).fit(X)


def test_categories_in_arrays_are_those_asked_for():
    X = np.array([[1.0, 7.0], [np.nan, np.nan], [3.0, 9.0]])
    assert MixedToyImputer().fit(X)._discrete.levels == {}
    assert MixedToyImputer(kind="number").fit(X)._columns is None
    imputer = MixedToyImputer(kind="categorical", fraction=0.75).fit(X)
    assert imputer._discrete.levels == {1: 2}
    assert_array_equal(imputer.transform(X), [[1.0, 7.0], [0.75, 9.0], [3.0, 9.0]])
    new = [[np.nan, 8.0]]
    with pytest.raises(ValueError, match=r"8\.0"):
        imputer.transform(new)
    # By the imputer as it was fitted.
    lenient = MixedToyImputer(kind="categorical", unseen_categories="missing").fit(X)
    assert_array_equal(lenient.transform(new), [[0.5, 8.0]])


def test_bounds_are_those_of_the_modelled_columns():
    X = np.array([[1.0, np.nan, 3.0, 4.0], [np.nan] * 4])
    imputer = BoundedToyImputer(min_value=[0.0, 0.0, 0.75, -1.0], max_value=[0.25, 0.0, 9.0, 0.6])
    assert_array_equal(imputer.fit_transform(X), [[1.0, 3.0, 4.0], [0.25, 0.75, 0.5]])


def test_frames_with_a_marker_and_names_of_their_own():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [7, -1, 9]})
    imputer = MixedToyImputer(kind="categorical", missing_values=-1, fraction=0.75).fit(frame)
    assert imputer._discrete.levels == {1: 2}
    assert imputer.transform(frame)[:, 1].tolist() == [7, 9, 9]
    with pytest.raises(ValueError, match="feature names"):
        imputer.transform(frame.rename(columns={"b": "c"}))
    assert imputer.feature_names_in_.tolist() == ["a", "b"]


def test_rows_of_a_frame_that_have_lost_all_categories():
    imputer = MixedToyImputer(fraction=0.75).set_output(transform="pandas")
    imputer.fit(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    imputed = imputer.transform(pd.DataFrame({"a": [3.0, np.nan], "b": [np.nan, np.nan]}))
    assert imputed["a"].tolist() == [3.0, 0.75]
    assert imputed["b"].tolist() == ["y", "y"]


@pytest.mark.parametrize(("bound", "beyond"), [("min_value", 1.0), ("max_value", 0.2)])
@pytest.mark.parametrize(("fraction", "level"), [(0.25, 7.0), (0.75, 9.0)])
def test_codes_of_categories_have_no_bounds(bound, beyond, fraction, level):
    X = np.array([[1.0, 7.0], [np.nan, np.nan], [3.0, 9.0]])
    imputer = BoundedMixedToyImputer(kind="categorical", fraction=fraction, **{bound: beyond})
    assert_array_equal(imputer.fit_transform(X), [[1.0, 7.0], [beyond, level], [3.0, 9.0]])


def test_callbacks_are_told_of_a_fit_and_its_data():
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    told = []

    class Recorder:
        def setup(self, estimator, context):
            told.append(("setup", estimator))

        def on_fit_task_begin(self, estimator, context, *, X):
            told.append((context.max_subtasks, estimator, X, hasattr(imputer, "values_fitted_")))

        def on_fit_task_end(self, estimator, context, *, X):
            told.append(("end", estimator, X, hasattr(imputer, "values_fitted_")))

        def teardown(self, estimator, context):
            told.append(("teardown", estimator))

    X = [[1.0, 2.0]]
    imputer = ToyImputer().set_callbacks(Recorder())
    imputer.fit(X)
    assert [each[0] for each in told] == ["setup", 0, "end", "teardown"]
    assert all(each[1] is imputer for each in told)
    assert [each[2:] for each in told[1:3]] == [(X, False), (X, True)]
    assert all(each[2] is X for each in told[1:3])


def test_parameters_are_keyword_only_and_inherited():
    names = list(inspect.signature(ToyImputer).parameters)
    assert set(inspect.signature(BaseImputer).parameters) < set(names)
    assert ToyImputer(fraction=0.25).get_params()["fraction"] == 0.25
    with pytest.raises(TypeError, match="positional"):
        ToyImputer(0.25)


def test_repr_and_equality_are_those_of_scikit_learn():
    assert repr(ToyImputer(fraction=0.25)) == "ToyImputer(fraction=0.25)"
    assert ToyImputer() != ToyImputer()
    assert len({ToyImputer(), ToyImputer()}) == 2


# What is said of wrong input, word for word


class Pairs(list):
    """Pairs of numbers and words, from no library of data frames, with types of columns."""

    dtypes = (float, str)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.full((3, 2), np.nan),
            "X must have at least one observed value to learn from, but all of its 6 values are "
            "missing.",
        ),
        (
            [[1.0, -2e150], [1e10, np.nan]],
            "X must hold numbers of at most 1e+150 in size to learn from, whose squares are "
            "numbers too, got one of 2e+150.",
        ),
        (
            [[1.0, "a"], [2.0, "b"]],
            "X must hold numbers and markers of missing values only; encode or leave out other "
            "columns (could not convert string to float: 'a').",
        ),
        (
            pd.DataFrame({"first": [1.0, 2.0], "second": ["a", "b"]}),
            "X must hold numbers and markers of missing values only for ToyImputer; encode or "
            "leave out other columns, such as 'second'.",
        ),
        (
            pd.DataFrame({"first": pd.Categorical(["a", "b"], ordered=True), "second": [1, 2]}),
            "X must hold numbers and markers of missing values only for ToyImputer; encode or "
            "leave out other columns, such as 'first'.",
        ),
        (
            [[1.0, np.inf]],
            "Input X contains infinity or a value too large for dtype('float64').",
        ),
    ],
)
def test_messages(X, message):
    with pytest.raises(ValueError, match="X") as caught:
        ToyImputer().fit(X)
    assert str(caught.value) == message


def test_message_about_frames_without_the_library_that_reads_them(monkeypatch):
    installed = {"narwhals"}
    monkeypatch.setattr("gnr_sklearn._base.find_spec", lambda name: {name} & installed or None)
    with pytest.raises(ValueError, match=r"'a'\)\.$"):
        ToyImputer().fit(Pairs([[1.0, "a"]]))
    installed.clear()
    hint = " Categories in data frames need narwhals: pip install gnr-sklearn[frames]."
    with pytest.raises(ValueError, match=r"'a'\)\.") as caught:
        ToyImputer().fit(Pairs([[1.0, "a"]]))
    assert str(caught.value).endswith(hint)
    with pytest.raises(ValueError, match=r"'a'\)\.$"):
        ToyImputer().fit([[1.0, "a"]])


def test_message_about_empty_categories():
    X = pd.DataFrame({"a": [1.0, 2.0], "b": pd.Categorical([None, None])})
    with pytest.raises(ValueError, match="of categories") as caught:
        MixedToyImputer(keep_empty_features=True).fit(X)
    assert str(caught.value) == (
        "keep_empty_features must be False where a column of categories has no values to fill it "
        "with, as 'b'."
    )


def test_message_about_a_feature_that_comes_late():
    imputer = ToyImputer().partial_fit(pd.DataFrame({"a": [1.0], "b": [np.nan], "c": [np.nan]}))
    with pytest.raises(ValueError, match="observed values in a feature") as caught:
        imputer.partial_fit(pd.DataFrame({"a": [1.0], "b": [np.nan], "c": [2.0]}))
    assert str(caught.value) == (
        "X must not have observed values in a feature that had none in the first call of "
        "partial_fit, got some in 'c'; begin with rows that have some."
    )


def test_a_state_that_says_no_version_is_an_old_one():
    state = ToyImputer(fraction=0.25).__getstate__()
    del state["_gnr_sklearn_version"]
    imputer = ToyImputer()
    with pytest.warns(UserWarning, match="was saved by") as caught:
        imputer.__setstate__(state)
    assert str(caught[0].message) == (
        "ToyImputer was saved by version before 0.1.0 of gnr_sklearn and is read by "
        f"{gnr_sklearn.__version__}: what it imputes may be something else, or an error."
    )
    assert imputer.fraction == 0.25


@pytest.mark.parametrize("kind", ["M8[s]", "m8[s]"])
def test_dates_are_no_numbers(kind):
    X = np.array([[1, 2], [3, 4]]).astype(kind)
    with pytest.raises(TypeError, match=r"^X must hold numbers, not dates or durations, got"):
        ToyImputer().fit(X)


@pytest.mark.parametrize("marker", [np.inf, 10**400], ids=["infinite", "large"])
def test_markers_that_no_data_can_hold(marker):
    with pytest.raises(ValueError, match=r"^missing_values must be a finite number or NaN"):
        ToyImputer(missing_values=marker).fit([[1.0, 2.0]])


def test_nan_beside_a_marker():
    with pytest.raises(ValueError, match=r"^X must not hold NaN where missing_values is another"):
        ToyImputer(missing_values=-9).fit([[1.0, np.nan], [-9, 2.0]])


# Input of other kinds


def test_what_is_masked_is_missing():
    masked = np.ma.array([[1, 2], [3, 400], [5, 6]], mask=[[0, 0], [0, 1], [0, 0]])
    expected = [[1, 2], [3, 4], [5, 6]]
    assert_array_equal(gnr_sklearn.MeanImputer().fit_transform(masked), expected)
    imputed = gnr_sklearn.MeanImputer().fit_transform(masked.astype(np.float32))
    assert imputed.dtype == np.float32
    assert_array_equal(imputed, expected)
    assert masked.mask.sum() == 1


def test_the_warning_about_features_without_values_names_them():
    X = np.array([[1.0, np.nan], [2.0, np.nan]])
    imputer = gnr_sklearn.MeanImputer()
    with pytest.warns(UserWarning, match=r"are left out: \[1\]\. .* keep_empty_features=True"):
        imputer.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imputer.set_params(keep_empty_features=True).fit(X)
