"""The base class: scikit-learn's private seams, seeds, bounds and documentation."""

import ast
import inspect
import pickle
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from datetime import date
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_array_equal

import gnr_sklearn
from gnr_sklearn._base import BaseImputer, BoundedImputer, MixedImputer
from gnr_sklearn._sklearn import Interval, StrOptions, fit_context
from gnr_sklearn._validation import check_side_info, draw_seed, feature_limits

PUBLIC = [getattr(gnr_sklearn, name) for name in gnr_sklearn.__all__]
PUBLIC_IMPUTERS = [
    each for each in PUBLIC if inspect.isclass(each) and issubclass(each, BaseImputer)
]


@dataclass(kw_only=True, eq=False, repr=False)
class ToyImputer(BaseImputer):
    """Impute one number, and forget what was observed.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}
    """

    fraction: float = 0.5
    n_rounds: int = 1
    mode: str = "a"
    names: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImputer._parameter_constraints,
        "fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "mode": [StrOptions({"a", "b"})],
        "names": ["array-like", dict, None],
    }

    _parameter_docs: ClassVar[str] = """
        fraction : float, default=0.5
            What is imputed.
        """

    _attribute_docs: ClassVar[str] = """
        validation_skipped_ : bool
            Whether scikit-learn would have validated parameters inside `fit`.
        """

    def _fit(self, values):
        self.validation_skipped_ = sklearn.get_config()["skip_parameter_validation"]
        self.values_fitted_ = values

    def partial_fit(self, X):
        return self._learn_part(X, self._fit)

    def _impute(self, values):
        self.values_imputed_ = values
        return np.full_like(values, self.fraction)


@dataclass(kw_only=True, eq=False, repr=False)
class BoundedToyImputer(BoundedImputer, ToyImputer):
    """Impute the same number everywhere, within bounds."""

    def _fit(self, values):
        self._fit_limits(values)

    def _impute(self, values):
        return self._clip(super()._impute(values))


@dataclass(kw_only=True, eq=False, repr=False)
class MixedToyImputer(MixedImputer, ToyImputer):
    """Impute one number, and the category of one code in the second column."""

    kind: str | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedImputer._parameter_constraints,
        **ToyImputer._parameter_constraints,
        "kind": [str, None],
    }

    def _asked_kinds(self, names):
        return {} if self.kind is None else {1: self.kind}


@dataclass(kw_only=True, eq=False, repr=False)
class BoundedMixedToyImputer(BoundedToyImputer, MixedToyImputer):
    """Impute one number within bounds, and the category of one code in the second column."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedToyImputer._parameter_constraints,
        **BoundedToyImputer._parameter_constraints,
    }


# scikit-learn's private means of checking parameters


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("fraction", [0.1, np.float32(0.9)], [0, 1, 0.0, -0.5, np.nan, "0.5", None]),
        ("n_rounds", [1, 10, np.int64(3)], [0, 1.0, np.inf, None]),
        ("mode", ["a", "b"], ["c", 1, None]),
        ("names", [[1, 2], np.ones(2), {"a": 1}, None], [1, "a"]),
        ("missing_values", [np.nan, -1, 0.5, np.float32(-1), pd.NA], ["NaN", None, [0]]),
        ("add_indicator", [True, np.True_], [1, 0, None, "True"]),
        ("keep_empty_features", [True, np.True_], [1, 0, None, "True"]),
        ("random_state", [None, 0, 2**32 - 1, np.random.RandomState(0)], [-1, 0.5, "a"]),
        ("verbose", [0, 1, 5, True], [-1, 0.5, "a", None]),
    ],
)
def test_constraints(name, accepted, refused):
    X = [[1.0, 2.0], [3.0, 4.0]]
    for value in accepted:
        ToyImputer(**{name: value}).fit(X)
    for value in refused:
        imputer = ToyImputer(**{name: value})
        with pytest.raises(ValueError, match=f"The '{name}' parameter of ToyImputer must be"):
            imputer.fit(X)
        # Refused before anything was done.
        assert not hasattr(imputer, "n_features_in_")


@pytest.mark.parametrize(
    ("closed", "inside"),
    [
        ("left", [True, False]),
        ("right", [False, True]),
        ("both", [True, True]),
        ("neither", [False, False]),
    ],
)
def test_interval_ends(closed, inside):
    interval = Interval(Real, 0, 1, closed=closed)
    assert [interval.is_satisfied_by(end) for end in (0, 1)] == inside


def test_interval_without_ends_takes_infinity_but_not_nan():
    # Bounds of imputed values are declared so.
    interval = Interval(Real, None, None, closed="both")
    assert all(interval.is_satisfied_by(value) for value in (-np.inf, 0, np.inf))
    assert not interval.is_satisfied_by(np.nan)


def test_fit_context_skips_nested_validation_and_keeps_the_signature():
    imputer = ToyImputer().fit([[1.0]])
    assert imputer.validation_skipped_
    assert not sklearn.get_config()["skip_parameter_validation"]
    assert list(inspect.signature(ToyImputer.fit).parameters) == ["self", "X", "y"]
    assert ToyImputer.fit.__doc__.startswith("Learn from")


def test_fit_context_returns_what_fit_returns_and_lets_errors_through():
    class Fits(sklearn.base.BaseEstimator):
        _parameter_constraints: ClassVar[dict[str, Any]] = {}

        @fit_context(prefer_skip_nested_validation=True)
        def fit(self, X, y=None):
            return {"yes": self, "no": 1 / X}["yes"]

    estimator = Fits()
    assert estimator.fit(1) is estimator
    with pytest.raises(ZeroDivisionError):
        estimator.fit(0)


def test_validation_can_be_switched_off_for_all_of_scikit_learn():
    with sklearn.config_context(skip_parameter_validation=True):
        ToyImputer(mode="c").fit([[1.0]])


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


# Documentation


def test_documentation_is_inherited_at_its_place():
    docs = inspect.getdoc(ToyImputer)
    own, inherited = docs.index("fraction : float"), docs.index("missing_values : ")
    attributes = docs.index("Attributes\n")
    assert own < inherited < attributes
    own, inherited = docs.index("validation_skipped_ : bool"), docs.index("n_features_in_ : int")
    assert attributes < own < inherited


def test_documentation_of_a_class_made_later():
    class Later(ToyImputer):
        """Say more of one parameter.

        Parameters
        ----------
        {parameter_docs}

        Attributes
        ----------
        {attribute_docs}
        """

        _parameter_docs = """
            extra : int, default=1
                What it is for.
            fraction : float, default=0.25
                Another number : one that is not the same.
            """

        _attribute_docs = """
            later_ : bool
                Whether it is later.
            """

    lines = Later.__doc__.splitlines()
    assert lines[0] == "Say more of one parameter."
    start = lines.index("Parameters") + 2
    assert lines[start : start + 5] == [
        "extra : int, default=1",
        "    What it is for.",
        "fraction : float, default=0.25",
        "    Another number : one that is not the same.",
        "missing_values : int, float or pandas.NA, default=np.nan",
    ]
    attributes = lines.index("Attributes")
    assert lines[attributes + 2 : attributes + 6] == [
        "later_ : bool",
        "    Whether it is later.",
        "validation_skipped_ : bool",
        "    Whether scikit-learn would have validated parameters inside `fit`.",
    ]
    assert lines.count("fraction : float, default=0.25") == 1
    assert "default=0.5" not in Later.__doc__

    class Silent(ToyImputer):
        """Say nothing."""

    assert Silent.__doc__ == "Say nothing."


def parameters_in(docs):
    """Map the names in a numpydoc section Parameters to their specifications."""
    section = re.search(r"^Parameters\n-+\n(.*?)\n\n", inspect.cleandoc(docs), re.M | re.S)[1]
    found = {}
    for line in section.splitlines():
        if line.startswith(" "):
            continue
        names, separator, specification = line.partition(" : ")
        assert separator, f"No 'name : type' in {line!r}"
        for name in names.split(", "):
            assert name not in found, f"{name} is documented twice"
            found[name] = specification
    return found


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_every_parameter_is_documented_with_its_default(imputer_class):
    documented = parameters_in(imputer_class.__doc__)
    parameters = inspect.signature(imputer_class).parameters
    assert set(documented) == set(parameters)
    for name, specification in documented.items():
        match = re.fullmatch(r"(?P<type>\S.*), default=(?P<default>.+)", specification)
        assert match, f"{name}: no type and default in {specification!r}"
        default = match["default"]
        stated = np.nan if default == "np.nan" else ast.literal_eval(default)
        actual = parameters[name].default
        assert repr(stated) == repr(actual), f"{name}: {default} in the documentation"


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_every_parameter_has_a_constraint_and_a_type(imputer_class):
    parameters = inspect.signature(imputer_class).parameters
    assert set(imputer_class._parameter_constraints) == set(parameters)
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters.values())


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_no_place_is_left_in_documentation(imputer_class):
    assert not re.search(r"{(parameter|attribute)_docs}", imputer_class.__doc__)
    # Pieces are put in without the indentation that they have in the source.
    assert not re.search(r"^ +\w+ : ", imputer_class.__doc__, re.MULTILINE)


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_public_methods_are_documented(imputer_class):
    for name, method in inspect.getmembers(imputer_class, inspect.isfunction):
        if name.startswith("_") or not method.__module__.startswith("gnr_sklearn"):
            continue
        docs = inspect.getdoc(method)
        assert docs, f"{name} has no documentation"
        taken = [each for each in inspect.signature(method).parameters if each != "self"]
        assert not taken or list(parameters_in(docs)) == taken


# draw_seed


def test_draw_seed_from_an_integer_is_reproducible():
    seeds = {draw_seed(random_state) for random_state in range(100)}
    assert len(seeds) == 100
    assert seeds == {draw_seed(np.int64(random_state)) for random_state in range(100)}
    assert all(type(seed) is int and 0 <= seed < 2**31 - 1 for seed in seeds)


def test_draw_seed_advances_an_instance():
    random_state = np.random.RandomState(0)
    assert draw_seed(random_state) != draw_seed(random_state)
    other = np.random.RandomState(0)
    draw_seed(other), draw_seed(other)
    assert random_state.randint(10**6) == other.randint(10**6)


def test_draw_seed_from_none_varies_and_leaves_the_global_state_alone():
    def state():
        return pickle.dumps(np.random.get_state())  # noqa: NPY002

    before = state()
    first = draw_seed(None)
    assert state() == before
    np.random.seed(0)  # noqa: NPY002
    second = draw_seed(None)
    np.random.seed(0)  # noqa: NPY002
    assert len({first, second, draw_seed(None)}) == 3


# feature_limits


@pytest.mark.parametrize(
    ("min_value", "max_value", "lowest", "highest"),
    [
        (None, None, [-np.inf] * 3, [np.inf] * 3),
        (0, 1.5, [0.0] * 3, [1.5] * 3),
        ([0, 1, 2], None, [0.0, 1.0, 2.0], [np.inf] * 3),
        (-np.inf, np.array([3, 4, np.inf]), [-np.inf] * 3, [3.0, 4.0, np.inf]),
        (2.0, (2, 3, 4), [2.0] * 3, [2.0, 3.0, 4.0]),
        ({"b": 1}, {2: 3, "a": 2}, [-np.inf, 1.0, -np.inf], [2.0, np.inf, 3.0]),
        ({}, {}, [-np.inf] * 3, [np.inf] * 3),
    ],
)
def test_feature_limits(min_value, max_value, lowest, highest):
    limits = feature_limits(min_value, max_value, ["a", "b", "c"])
    for limit, expected in zip(limits, (lowest, highest), strict=True):
        assert limit.dtype == np.float64
        assert_array_equal(limit, expected)


@pytest.mark.parametrize(
    ("min_value", "max_value", "message"),
    [
        ([0, 1], None, "min_value must be .*, a sequence of 3 numbers"),
        (None, np.zeros((3, 1)), "max_value must be .*, a sequence of 3 numbers"),
        (None, [], "max_value must be .*, a sequence of 3 numbers"),
        (np.nan, None, "min_value must be .* NaN and inf are not allowed; got nan"),
        (None, [1, np.nan, 2], "max_value must be .* NaN and -inf are not allowed"),
        ({"d": 0}, None, "min_value must name columns of X or their places, got 'd'"),
        ({True: 0}, None, "min_value must name columns of X or their places, got True"),
        ({3: 0}, None, "min_value must name columns of X or their places, got 3"),
        (None, {"a": 0, 0: 1}, "max_value must name each column of X once, got 0 again"),
        (None, {"a": "b"}, "max_value must be"),
        (1, 0, "min_value must not exceed max_value, got 1 and 0"),
        ([0, 5, 0], 4, "min_value must not exceed max_value"),
        # Nothing finite is left to impute.
        (np.inf, None, "min_value"),
        (None, [0, -np.inf, 0], "max_value"),
        (["a", "b", "c"], None, "min_value must be"),
    ],
)
def test_feature_limits_errors(min_value, max_value, message):
    with pytest.raises(ValueError, match=message):
        feature_limits(min_value, max_value, ["a", "b", "c"])


# The package


def test_importing_the_package_does_not_import_torch():
    code = (
        "import sys, gnr_sklearn\n"
        "gnr_sklearn.MICEImputer().fit([[1.0, 2.0], [2.0, 3.0]])\n"
        "assert 'torch' not in sys.modules\n"
        "gnr_sklearn.GNRImputer\n"
        "assert 'torch' in sys.modules\n"
    )
    root = Path(gnr_sklearn.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_every_public_name_resolves_and_is_listed():
    assert len(set(gnr_sklearn.__all__)) == len(gnr_sklearn.__all__)
    assert len(PUBLIC_IMPUTERS) >= 4
    for name, value in zip(gnr_sklearn.__all__, PUBLIC, strict=True):
        assert value.__name__ == name
        assert value.__doc__
        assert name in dir(gnr_sklearn)
    namespace = {}
    exec("from gnr_sklearn import *", namespace)
    assert set(gnr_sklearn.__all__) <= set(namespace)


def test_unknown_names_raise_attribute_error():
    with pytest.raises(AttributeError, match="'gnr_sklearn' has no attribute 'NoSuchImputer'"):
        _ = gnr_sklearn.NoSuchImputer
    assert not hasattr(gnr_sklearn, "torch")


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


@pytest.mark.parametrize(
    ("random_state", "error"),
    [(-1, ValueError), (2**32, ValueError), ("a", TypeError), (True, TypeError)],
)
def test_seeds_that_are_none(random_state, error):
    with pytest.raises(error, match=r"^random_state must"):
        draw_seed(random_state)
    assert 0 <= draw_seed(np.random.default_rng(0)) < 2**31


# Input of other kinds


def test_what_is_masked_is_missing():
    masked = np.ma.array([[1, 2], [3, 400], [5, 6]], mask=[[0, 0], [0, 1], [0, 0]])
    expected = [[1, 2], [3, 4], [5, 6]]
    assert_array_equal(gnr_sklearn.MeanImputer().fit_transform(masked), expected)
    imputed = gnr_sklearn.MeanImputer().fit_transform(masked.astype(np.float32))
    assert imputed.dtype == np.float32
    assert_array_equal(imputed, expected)
    assert masked.mask.sum() == 1


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_dates_are_no_side_information(library):
    """Also beside numbers."""
    dates = [date(2026, 1, day) for day in (1, 2, 3)]
    when = pd.DataFrame({"when": pd.to_datetime(dates), "number": [1.0, 2.0, 3.0]})
    if library is pl:
        when = pl.DataFrame({"when": dates, "number": [1.0, 2.0, 3.0]})
    with pytest.raises(TypeError, match="side_info must hold numbers, not dates or durations"):
        check_side_info(when, 3)


def test_the_warning_about_features_without_values_names_them():
    X = np.array([[1.0, np.nan], [2.0, np.nan]])
    imputer = gnr_sklearn.MeanImputer()
    with pytest.warns(UserWarning, match=r"are left out: \[1\]\. .* keep_empty_features=True"):
        imputer.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imputer.set_params(keep_empty_features=True).fit(X)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [date(2026, 1, 1)] * 3], ids=["x", "date"])
def test_a_series_is_no_table(values):
    series = pd.Series(values)
    kind, message = (
        ValueError,
        r"side_info must be .* \(got one dimension; make a table of one column",
    )
    if not isinstance(values[0], float):
        series = pd.to_datetime(series)
        kind, message = TypeError, "side_info must hold numbers, not dates"
    with pytest.raises(kind, match=message):
        check_side_info(series, 3)


def test_side_information_must_not_be_masked():
    masked = np.ma.array([[1.0], [2.0]], mask=[[False], [True]])
    with pytest.raises(ValueError, match=r"side_info must be a complete numeric .* contains NaN"):
        check_side_info(masked, 2)
