"""What every imputer of this package has in common, apart from how it imputes."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from numbers import Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from gnr_sklearn import __version__
from gnr_sklearn._callbacks import KEPT_ON_FAILURE, CallbackSupportMixin, begin_fit, end_fit
from gnr_sklearn._columns import ColumnKind, Columns
from gnr_sklearn._discrete import DiscreteFeatures
from gnr_sklearn._frames import NAN_BESIDE_MARKER, as_frame, as_native, as_objects
from gnr_sklearn._sklearn import Interval, MissingValues, StrOptions, fit_context, get_output_config
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import feature_limits, gaps_as_nan, is_nan_marker, refuse_dates

__all__ = [
    "BaseImputer",
    "BoundedImputer",
    "MixedImputer",
    "Table",
]

# Of numpy and pandas, for strings, dates and other objects; scikit-learn passes them on.
_CONVERSION_ERRORS = ("could not convert string", "argument must be a string or", "promoted")

# Variances of larger numbers overflow, and with them all that rests on these.
MAX_NUMBER = 1e150


@dataclass(frozen=True)
class Table:
    """What a user gave, read as numbers.

    Attributes
    ----------
    numbers : ndarray of shape (n_samples, n_features)
        Numbers, and codes of categories; NaN also for a category that was not there in fit.
    observed : ndarray of shape (n_samples, n_features)
        Where something is observed.
    given : ndarray or narwhals.DataFrame
        What the user gave: numbers, or a data frame with columns of several types.
    """

    numbers: FloatArray
    observed: BoolArray
    given: Any

    @property
    def is_frame(self) -> bool:
        return not isinstance(self.given, np.ndarray)


@dataclass(kw_only=True, eq=False, repr=False)
class BaseImputer(CallbackSupportMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator, ABC):
    """The contract of an imputer; a subclass adds how to learn and how to impute.

    Parameters are dataclass fields: each is declared once, with its default and type,
    and is inherited with its documentation. The generated ``__init__`` only assigns, as
    scikit-learn asks.

    A subclass overrides :meth:`_fit` and :meth:`_impute`. Both receive float64 arrays
    with NaN at the missing values, in which every column had an observed value when the
    imputer was fitted. Everything else is done here: validation, markers other than
    NaN, columns without observed values, the indicator, dtypes, names and tags, and
    that observed values come back as they were.
    """

    missing_values: float = np.nan
    add_indicator: bool = False
    keep_empty_features: bool = False
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "missing_values": [MissingValues(numeric_only=True)],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _parameter_docs: ClassVar[str] = """
        missing_values : int, float or pandas.NA, default=np.nan
            The marker of missing values. With NaN or ``pandas.NA``, NaN and pandas'
            missing markers are missing; any other number must not be mixed with NaN.
        add_indicator : bool, default=False
            Whether to append a column of zeros and ones for each feature that had
            missing values in `fit`, 1 marking the missing ones.
        keep_empty_features : bool, default=False
            Whether to keep features that have no observed value in `fit`, with 0 in place
            of their missing values, or to drop them.
        random_state : int, RandomState instance or None, default=None
            Controls all randomness. Pass an int for reproducible results; with None each
            fit draws fresh entropy. Global random states are neither read nor changed.
        verbose : int, default=0
            Verbosity; 0 is silent.
        """

    _attribute_docs: ClassVar[str] = """
        n_features_in_ : int
            Number of features seen in `fit`.
        feature_names_in_ : ndarray of shape (`n_features_in_`,)
            Names of the features seen in `fit`, where they were all strings.
        indicator_ : MissingIndicator or None
            What appends the indicator columns; None without `add_indicator`.
        """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Put inherited documentation where a docstring has a place for it."""
        super().__init_subclass__(**kwargs)
        for attribute in ("_parameter_docs", "_attribute_docs"):
            pieces = [vars(base)[attribute] for base in cls.__mro__ if attribute in vars(base)]
            text = _join_entries(cls, pieces)
            marker = "{" + attribute.strip("_") + "}"
            if cls.__doc__ and marker in cls.__doc__:
                cls.__doc__ = inspect.cleandoc(cls.__doc__).replace(marker, text)

    # scikit-learn's seam for what the HTML representation of an estimator links to.
    _doc_link_module: ClassVar[str] = "gnr_sklearn"

    @property
    def _doc_link_template(self) -> str:
        pages = _documentation()
        return pages and f"{pages}generated/gnr_sklearn.{{estimator_name}}.html"

    # Whether `_fit` and `_impute` know what to do with codes of categories, see `_discrete`.
    _takes_categories: ClassVar[bool] = False

    @abstractmethod
    def _fit(self, values: FloatArray) -> None:
        """Learn from `values`, whose missing entries are NaN."""

    @abstractmethod
    def _impute(self, values: FloatArray) -> FloatArray:
        """Return `values` with numbers in place of NaN.

        Each row has a missing value. Only those entries of the result are used.
        """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn from the observed values and from where they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        y : None
            Ignored, present for scikit-learn's interface.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If X has infinite values, has no observed value, or is not a numeric table.
        """
        return self._learn(X, self._fit)

    def transform(self, X: ArrayLike) -> FloatArray:
        """Fill in the missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with the features of `fit`.

        Returns
        -------
        X_imputed : ndarray of shape (n_samples, n_features_out)
            X with its observed values unchanged and no missing ones; float32 for float32
            input, else float64. For a data frame with categories, an array of objects, or a data
            frame if ``set_output`` asks for one, with integers rounded.
        """
        check_is_fitted(self)
        table = self._validate_data(X, reset=False)
        return self._assemble(table, self._completed(self._modelled_values(table), self._impute))

    @staticmethod
    def _completed(
        values: FloatArray, impute: Callable[..., FloatArray], *of_rows: FloatArray
    ) -> FloatArray:
        """Impute the rows that have missing values, by a function of these and of what is known."""
        has_missing = np.isnan(values).any(axis=1)
        if has_missing.any():
            given = (of_all[has_missing] for of_all in of_rows)
            values[has_missing] = impute(values[has_missing], *given)
        return values

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the input features; None for those seen in `fit`, or x0, x1, ...

        Returns
        -------
        feature_names_out : ndarray of str objects
        """
        names_in = super().get_feature_names_out(input_features)
        names = names_in if self.keep_empty_features else names_in[~self._is_empty_feature]
        if self.indicator_ is None:
            return names
        return np.concatenate([names, self.indicator_.get_feature_names_out(names_in)])

    def _learn(self, X: ArrayLike, fit: Callable[[FloatArray], None]) -> Self:
        """Fit to X by a function of the values of its modelled columns."""
        with self._unchanged_on_failure():
            table = self._validate_data(X, reset=True)
            self._describe_features(table)
            context = begin_fit(self, X, self._n_fit_tasks)
            fit(self._values_to_learn_from(table))
            end_fit(context, self, X)
        return self

    def _learn_part(self, X: ArrayLike, fit_part: Callable[[FloatArray], None]) -> Self:
        """Learn from the rows of X, which may be further ones, by such a function."""
        with self._unchanged_on_failure():
            is_first = not hasattr(self, "n_features_in_")
            table = self._validate_data(X, reset=is_first)
            if is_first:
                self._describe_features(table)
            else:
                self._describe_more(table)
            fit_part(self._values_to_learn_from(table))
        return self

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            # Also on Ctrl-C: an imputer that was fitted before stays as it was, and one
            # that was not is still not fitted.
            kept = {name: vars(self)[name] for name in KEPT_ON_FAILURE if name in vars(self)}
            self.__dict__ = before | kept
            raise

    def _describe_features(self, table: Table) -> None:
        """Learn which columns are modelled and marked, and which of them are codes."""
        self._is_empty_feature = ~table.observed.any(axis=0)
        if self._is_empty_feature.all():
            raise ValueError(
                "X must have at least one observed value to learn from, but all of its "
                f"{table.numbers.size} values are missing."
            )
        self._refuse_to_keep_empty()
        if self._is_empty_feature.any() and not self.keep_empty_features:
            names = [self._names[place] for place in np.flatnonzero(self._is_empty_feature)]
            warnings.warn(
                f"Features without any observed value are left out: {names}. To keep them, filled "
                "with 0, set keep_empty_features=True.",
                UserWarning,
                stacklevel=2,
            )
        self._discrete = self._discrete_features()
        self.indicator_ = self._fit_indicator((~table.observed).any(axis=0))
        if self.indicator_ is not None and self._other_names is None:
            marks = set(self.indicator_.get_feature_names_out(self._names))
            if marks & set(self._names):
                raise ValueError(
                    "X must not have columns with the names of those that add_indicator=True "
                    f"appends, got {sorted(marks & set(self._names))}."
                )

    def _describe_more(self, table: Table) -> None:
        """Take note of the columns of further rows."""
        comes_late = self._is_empty_feature & table.observed.any(axis=0)
        if comes_late.any():
            name = self._names[int(np.argmax(comes_late))]
            raise ValueError(
                "X must not have observed values in a feature that had none in the first call of "
                f"partial_fit, got some in {name!r}; begin with rows that have some."
            )
        if self.indicator_ is not None:
            had_missing = np.isin(np.arange(self.n_features_in_), self.indicator_.features_)
            has_missing = (~table.observed).any(axis=0)
            self.indicator_ = self._fit_indicator(had_missing | has_missing)

    def _fit_indicator(self, has_missing: ArrayLike) -> MissingIndicator | None:
        """Return what marks the missing values of some features."""
        if not self.add_indicator:
            return None
        indicator = MissingIndicator(error_on_new=False).set_output(transform="default")
        return indicator.fit(np.where(has_missing, np.nan, 0.0)[np.newaxis])

    @property
    def _names(self) -> list[Any]:
        """Names of the features, or their places where they have none."""
        if self._other_names is not None:
            return self._other_names
        return list(getattr(self, "feature_names_in_", range(self.n_features_in_)))

    @property
    def _n_fit_tasks(self) -> int:
        """Number of parts of a fit that callbacks are told of, at most."""
        return 0

    @property
    def _marker_is_nan(self) -> bool:
        return is_nan_marker(self.missing_values)

    def _asked_kinds(self, names: list[Any]) -> Mapping[int, ColumnKind]:
        """Return the kinds of columns that the user gives, by their places."""
        return {}

    @property
    def _unseen_categories(self) -> Literal["error", "missing"]:
        return "error"

    def _validate_data(self, X: ArrayLike, *, reset: bool) -> Table:
        """Read X as numbers."""
        # If every category in these rows is missing, the frame may hold only float columns.
        of_floats = not reset and self._columns is not None and self._columns.from_frame
        frame = as_frame(X, of_floats=of_floats)
        if reset:
            self._check_marker()
            names = list(X.columns) if hasattr(X, "columns") and hasattr(X, "dtypes") else []
            are_strings = all(isinstance(name, str) for name in names)
            self._other_names = None if are_strings else names
        if frame is None or not (reset or self._columns):
            return self._validate_numbers(X, reset=reset)
        validate_data(self, X, reset=reset, skip_check_array=True)
        marker = None if self._marker_is_nan else self.missing_values
        if reset:
            asked = self._asked_kinds(self._names)
            columns = Columns.of_frame(
                frame, asked, marker, self._unseen_categories, self.keep_empty_features
            )
            self._refuse_categories(columns)
            self._columns: Columns | None = columns
        assert self._columns is not None
        numbers, observed = self._columns.encode_frame(frame, marker)
        check_array(numbers, ensure_all_finite="allow-nan", input_name="X", estimator=self)
        return Table(numbers, observed, frame)

    def _check_marker(self) -> None:
        """Refuse a number that no data can hold."""
        try:
            is_possible = self._marker_is_nan or math.isfinite(self.missing_values)
        except OverflowError:
            is_possible = False
        if not is_possible:
            raise ValueError(
                f"missing_values must be a finite number or NaN, got {self.missing_values!r:.20}."
            )

    def _validate_numbers(self, X: ArrayLike, *, reset: bool) -> Table:
        refuse_dates(X, "X")
        try:
            matrix = validate_data(
                self,
                gaps_as_nan(X),
                reset=reset,
                dtype=(np.float64, np.float32),
                ensure_all_finite="allow-nan" if self._marker_is_nan else True,
            )
        except (TypeError, ValueError) as error:
            if not self._marker_is_nan and "contains NaN" in str(error):
                raise ValueError(NAN_BESIDE_MARKER) from error
            if not any(words in str(error) for words in _CONVERSION_ERRORS):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            hint = ""
            if hasattr(X, "dtypes") and find_spec("narwhals") is None:
                hint = " Categories in data frames need narwhals: pip install gnr-sklearn[frames]."
            raise kind(
                "X must hold numbers and markers of missing values only; encode or leave out other "
                f"columns ({error}).{hint}"
            ) from error
        # In the precision of the data: 0.1 in float32 is another number than 0.1.
        with np.errstate(over="ignore"):
            marker = np.nan if self._marker_is_nan else matrix.dtype.type(self.missing_values)
        observed = ~np.isnan(matrix) if self._marker_is_nan else matrix != marker
        if reset:
            asked = self._asked_kinds(self._names)
            self._columns = None
            if set(asked.values()) - {"number"}:
                unseen = self._unseen_categories
                self._columns = Columns.of_array(
                    matrix, observed, asked, unseen, self._names, self.keep_empty_features
                )
        numbers = matrix
        if self._columns is not None:
            numbers = self._columns.encode_array(matrix, observed)
        return Table(numbers, observed, matrix)

    def _refuse_categories(self, columns: Columns) -> None:
        for column in columns.columns:
            if column.categories and column.kind != "boolean" and not self._takes_categories:
                raise ValueError(
                    f"X must hold numbers and markers of missing values only for "
                    f"{type(self).__name__}; encode or leave out other columns, such as "
                    f"{column.name!r}."
                )

    def _refuse_to_keep_empty(self) -> None:
        """Refuse to keep columns of categories of which there is not one."""
        if self._columns is None or not self.keep_empty_features:
            return
        for column in self._columns.columns:
            if column.categories == ():
                raise ValueError(
                    "keep_empty_features must be False where a column of categories has no values "
                    f"to fill it with, as {column.name!r}."
                )

    def _discrete_features(self) -> DiscreteFeatures:
        """Return which of the modelled columns are codes of levels."""
        kept = np.flatnonzero(~self._is_empty_feature)
        levels, ordered = {}, set()
        if self._columns is not None and self._takes_categories:
            for place, feature in enumerate(kept):
                column = self._columns.columns[feature]
                if column.categories is not None:
                    levels[place] = len(column.categories)
                    if column.kind != "categorical":
                        ordered.add(place)
        return DiscreteFeatures(len(kept), levels, ordered)

    def _modelled_values(self, table: Table) -> FloatArray:
        """Select the columns that were not empty in fit, as float64 with NaN for missing."""
        modelled = ~self._is_empty_feature
        numbers = table.numbers[:, modelled]
        return np.where(table.observed[:, modelled], numbers, np.nan).astype(np.float64)

    def _values_to_learn_from(self, table: Table) -> FloatArray:
        """Select these columns, and refuse numbers that nothing can be learned from."""
        values = self._modelled_values(table)
        largest = np.fmax(np.fmax.reduce(values, axis=None), -np.fmin.reduce(values, axis=None))
        if largest > MAX_NUMBER:
            raise ValueError(
                f"X must hold numbers of at most {MAX_NUMBER:g} in size to learn from, whose "
                f"squares are numbers too, got one of {largest:g}."
            )
        return values

    def _assemble(self, table: Table, values: FloatArray, *, as_array: bool = False) -> Any:
        """Put imputed values, of the modelled columns, into the gaps of what the user gave."""
        observed = table.observed
        kept = np.asarray(~self._is_empty_feature | self.keep_empty_features)
        imputed = np.zeros_like(table.numbers)
        imputed[:, ~self._is_empty_feature] = values
        if self._columns is not None:
            self._columns.snap(imputed)
        indicators = np.empty((len(imputed), 0))
        if self.indicator_ is not None:
            indicators = self.indicator_.transform(np.where(observed, 0.0, np.nan)).astype(float)
        if self._columns is None or not table.is_frame:
            completed = np.where(observed, table.given, imputed)
            if self._columns is not None:
                completed = self._columns.decode_array(imputed, table.given, observed)
                completed = completed.astype(table.given.dtype)
            return np.hstack([completed[:, kept], indicators.astype(completed.dtype)])
        columns = self._columns.select(kept)
        container = "default" if as_array else get_output_config("transform", self)["dense"]
        if container == "default" and columns.has_numbers_only:
            completed = np.where(observed, table.numbers, imputed)[:, kept]
            # A level that was not seen in fit has no number.
            if not np.isnan(completed).any():
                return np.hstack([completed, indicators])
        frame = table.given[:, np.flatnonzero(kept).tolist()]
        frame = columns.decode_frame(imputed[:, kept], frame, observed[:, kept])
        if container == "default":
            return as_objects(frame, indicators)
        return as_native(frame, indicators, self.get_feature_names_out().tolist(), container)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_gnr_sklearn_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        version = state.pop("_gnr_sklearn_version", "before 0.1.0")
        if version != __version__:
            warnings.warn(
                f"{type(self).__name__} was saved by version {version} of gnr_sklearn and is read "
                f"by {__version__}: what it imputes may be something else, or an error.",
                stacklevel=2,
            )
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._marker_is_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@cache
def _documentation() -> str:
    """Return the address of the documentation, empty where the package is not installed."""
    try:
        entries = metadata("gnr-sklearn").get_all("Project-URL", [])
    except PackageNotFoundError:
        return ""
    return dict(entry.split(", ", 1) for entry in entries).get("Documentation", "")


def _join_entries(cls: type, pieces: list[str]) -> str:
    """Join what classes say of names; what a class says takes the place of what its bases do.

    ``{default}`` stands for the default that the parameter has in `cls`.
    """
    entries: dict[str, str] = {}
    for piece in pieces:
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc(piece)):
            name = entry.partition(" : ")[0]
            default = repr(getattr(cls, name, None)).replace("'", '"')
            entries.setdefault(name, entry.replace("{default}", default))
    return "\n".join(entries.values())


@dataclass(kw_only=True, eq=False, repr=False)
class MixedImputer(BaseImputer):
    """An imputer that takes data frames with categories among their columns."""

    unseen_categories: Literal["error", "missing"] = "error"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImputer._parameter_constraints,
        "unseen_categories": [StrOptions({"error", "missing"})],
    }

    _parameter_docs: ClassVar[str] = """
        unseen_categories : {"error", "missing"}, default="error"
            What to do about a category that was not among those observed in `fit`: raise an
            error, or return it as it is and impute the rest of its row as if it were missing.
        """

    _takes_categories: ClassVar[bool] = True

    @property
    def _unordered_features(self) -> NDArray[np.intp]:
        """Places in X of categories without an order."""
        return np.flatnonzero(~self._is_empty_feature)[self._discrete.unordered]

    @property
    def _unseen_categories(self) -> Literal["error", "missing"]:
        return self.unseen_categories

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class BoundedImputer(BaseImputer):
    """An imputer whose imputed values can be kept within bounds.

    A subclass calls :meth:`_fit_limits` before it learns, and :meth:`_clip` on all it imputes.
    """

    min_value: float | ArrayLike | Mapping[Any, float] | None = None
    max_value: float | ArrayLike | Mapping[Any, float] | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImputer._parameter_constraints,
        "min_value": [None, Interval(Real, None, None, closed="both"), "array-like", dict],
        "max_value": [None, Interval(Real, None, None, closed="both"), "array-like", dict],
    }

    _parameter_docs: ClassVar[str] = """
        min_value, max_value : float, array-like of shape (n_features,), dict or None, default=None
            Bounds that imputed values are clipped to: of all features, of each, or of those that a
            dict names or gives the places of, as in ``{"age": 0}``, or a Series of pandas by names.
        """

    def _fit_limits(self, values: FloatArray) -> None:
        """Check the bounds and keep those of the modelled columns, whose values are given."""
        modelled = ~self._is_empty_feature
        bounds = feature_limits(self.min_value, self.max_value, self._names)
        lowest, highest = (bound[modelled] for bound in bounds)
        # What is rounded afterwards stays within them.
        is_rounded = self._rounded_features()[modelled]
        above, below = np.ceil(lowest), np.floor(highest)
        crossing = is_rounded & (above > below)
        wrong = np.flatnonzero(crossing & np.isnan(values).any(axis=0))
        if wrong.size:
            name = self._names[int(np.flatnonzero(modelled)[wrong[0]])]
            raise ValueError(
                "min_value and max_value must have a whole number between them where imputed "
                f"values are rounded, as in column {name!r}, got {self.min_value!r} and "
                f"{self.max_value!r}."
            )
        lowest = np.where(is_rounded & ~crossing, above, lowest)
        highest = np.where(is_rounded & ~crossing, below, highest)
        # A code has no size.
        is_discrete = self._discrete.is_discrete
        self._lowest = np.where(is_discrete, -np.inf, lowest)
        self._highest = np.where(is_discrete, np.inf, highest)

    def _rounded_features(self) -> BoolArray:
        """Return which features of X hold whole numbers, also where they are imputed."""
        if self._columns is None or not self._columns.from_frame:
            return np.zeros(self.n_features_in_, dtype=bool)
        return np.array([column.kind == "integer" for column in self._columns.columns])

    def _clip(self, values: FloatArray) -> FloatArray:
        return np.clip(values, self._lowest, self._highest)
