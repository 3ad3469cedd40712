"""Checks of arguments, and what is read off data with holes, for all of the package."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array

from gnr_sklearn._columns import by_place, read_columns
from gnr_sklearn._types import BoolArray, FloatArray

__all__ = [
    "DIRECTIONS",
    "DIRECTIONS_AND_BOTH",
    "DIRECTION_NAMES",
    "DataFrameLike",
    "Features",
    "MissingDirection",
    "RandomStateLike",
    "as_generator",
    "check_column_names",
    "check_count",
    "check_feature_info",
    "check_features",
    "check_flag",
    "check_matrix",
    "check_number",
    "check_side_info",
    "column_names",
    "copy_of",
    "draw_seed",
    "feature_directions",
    "feature_indices",
    "feature_limits",
    "fitted_scaler",
    "gives_back",
    "gives_back_cells",
    "input_names",
    "is_nan_marker",
    "layer_widths",
    "levels_of",
    "named_in_errors",
    "nearest_level",
    "next_seed",
    "observed_mean_and_std",
    "number_that_marks",
    "read_table",
    "refuse_dates",
    "replace_cells",
    "seed_random_states",
    "side_info_for",
    "varies",
    "without_marker",
    "gaps_as_nan",
]

# Imputers that work in other units give observed values back up to rounding, of float32 at worst.
ROUNDING = 1e-5

# A feature varies if its standard deviation is so many times what its values are rounded by.
VARIES = 16

RandomStateLike = int | np.integer | np.random.RandomState | np.random.Generator | None
MissingDirection = str | Sequence[str | None] | Mapping[Any, str | None] | None
Features = str | Sequence[int] | NDArray[np.integer] | None


class DataFrameLike(Protocol):
    """What is asked of a pandas DataFrame, which this package never imports itself."""

    @property
    def iloc(self) -> object: ...


def gaps_as_nan(X: Any) -> Any:
    """Put NaN for what is masked, and for pandas.NA among objects, which float() refuses."""
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.filled(X.astype(np.float64) if X.dtype.kind in "biu" else X, np.nan)
    if hasattr(X, "isna") and hasattr(X, "dtypes") and np.any(X.dtypes == np.dtype(object)):
        return X.mask(X.isna(), np.nan)
    # There is none where pandas has not been imported.
    if isinstance(X, np.ndarray) and X.dtype == object and "pandas" in sys.modules:
        return np.where(sys.modules["pandas"].isna(X), np.nan, X)
    return X


def is_nan_marker(marker: object) -> bool:
    """Tell whether NaN is the marker of missing values, as it is where pandas.NA is."""
    # pandas.NA is no number; pandas hands its values over as NaN.
    return not isinstance(marker, Real) or marker != marker


def number_that_marks(imputer: object) -> float | None:
    """Return the number that says what is missing to an imputer, where it is not NaN."""
    marker = getattr(imputer, "missing_values", np.nan)
    return None if is_nan_marker(marker) else marker


def without_marker(values: FloatArray, marker: float | None) -> FloatArray:
    """Put NaN in place of a number that marks what is missing, which may be in no cell."""
    if marker is None:
        return values
    # In the precision of the data, as imputers read it.
    number = values.dtype.type
    return np.where(values == number(marker), number(np.nan), values)


def check_matrix(X: object, name: str, marker: float | None = None) -> FloatArray:
    """Give X as a float32 or float64 matrix, NaN allowed, perhaps sharing memory with X.

    Where a number marks what is missing, there is NaN in its place.
    """
    refuse_dates(X, name)
    try:
        matrix = check_array(
            gaps_as_nan(X),
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            ensure_2d=False,
            allow_nd=True,
            ensure_min_samples=0,
        )
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = str(error).splitlines()[0]
        raise kind(f"{name} must be a dense numeric (n, d) array or DataFrame: {reason}") from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(
            f"{name} must be a matrix of at least one row and one column, got shape {matrix.shape}."
        )
    if np.isinf(matrix).any():
        raise ValueError(f"{name} must hold finite numbers or NaN, got infinite values.")
    return without_marker(matrix, marker)


def refuse_dates(X: Any, name: str) -> None:
    """Refuse arrays and columns of dates or durations, which would be read as numbers."""
    is_frame = hasattr(X, "columns") and hasattr(X, "dtypes")
    for dtype in X.dtypes if is_frame else [getattr(X, "dtype", None)]:
        is_temporal = getattr(dtype, "is_temporal", bool)  # of polars
        if getattr(dtype, "kind", None) in ("m", "M") or is_temporal():
            raise TypeError(
                f"{name} must hold numbers, not dates or durations, got {dtype}; convert them "
                "first, for example to days since the earliest date."
            )


@contextmanager
def named_in_errors(demand: str) -> Iterator[None]:
    """Begin the message of an error with what an argument must be, and keep its first line."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{demand} ({str(error).splitlines()[0]}).") from error


def check_number(value: float, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    """Refuse what is not a finite number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not (math.isfinite(value) and low <= value <= high):
        bounds = f" between {low:g} and {high:g}" if math.isfinite(low) else ""
        raise ValueError(f"{name} must be a finite number{bounds}, got {value!r}.")
    return float(value)


def check_count(value: int, name: str, low: int) -> int:
    """Refuse what is not an int of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}.")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")
    return int(value)


def check_flag(value: bool, name: str) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def read_table(X: Any, name: str, marker: float | None = None) -> FloatArray:
    """Give X as :func:`check_matrix` does; categories of a frame are codes."""
    of_frame = read_columns(X, marker)
    return check_matrix(X, name, marker) if of_frame is None else of_frame[1]


def column_names(X: Any) -> list[str] | None:
    """Give a frame's names of columns, where all are strings."""
    names = list(getattr(X, "columns", []))
    return names if names and all(isinstance(name, str) for name in names) else None


def check_column_names(given: Any, name: str, expected: list[str] | None, of_what: str) -> None:
    """Refuse a frame with other names than expected; what has none goes by position."""
    found = column_names(given)
    if expected is not None and found is not None and found != expected:
        raise ValueError(
            f"{name} must have the columns of {of_what}, in that order, {expected}, got {found}."
        )


def input_names(X: Any, n_features: int) -> list[str]:
    """Give a frame's names of columns, or scikit-learn's for what has none."""
    return column_names(X) or [f"x{j}" for j in range(n_features)]


def check_features(features: Features) -> Features:
    """Check what can be checked without the data; a sequence comes back as a tuple of int."""
    if features is None or (isinstance(features, str) and features in ("all", "first_half")):
        return features
    indices = np.asarray(features)
    numbers = indices.dtype.kind in "iu" and indices.ndim == 1
    if not numbers or len(np.unique(indices)) < max(len(indices), 1) or indices.min() < 0:
        kind = ValueError if numbers or isinstance(features, str) else TypeError
        raise kind(
            'features must be None, "all", "first_half" or a sequence of distinct column numbers '
            f"from 0 on, got {features!r}."
        )
    return tuple(indices.tolist())


def feature_indices(features: Features, n_features: int) -> NDArray[np.intp]:
    """Turn ``features`` into the numbers of columns of a matrix that has ``n_features``."""
    features = check_features(features)
    if features is None or features == "all":
        return np.arange(n_features)
    if features == "first_half":
        return np.arange(max(1, n_features // 2))
    indices = np.asarray(features, dtype=np.intp)
    if indices.max() >= n_features:
        raise ValueError(
            f"features must be column numbers from 0 to {n_features - 1}, got {indices.max()}."
        )
    return indices


def check_side_info(
    side_info: ArrayLike | None,
    n_rows: int,
    n_side_features: int | None = None,
    names: list[str] | None = None,
) -> FloatArray:
    """Return side information as a matrix, which has no columns where there is none.

    Parameters
    ----------
    side_info : array-like of shape (n_rows, n_side_features) or None
        As the user gave it.
    n_rows : int
        Number of rows of X.
    n_side_features : int or None, default=None
        Number of columns in fit; None where any number will do.
    names : list of str or None, default=None
        Names of the columns in fit, which those of a frame have to be; None where it had none.
    """
    if side_info is None:
        return np.empty((n_rows, 0))
    side = _complete_matrix(side_info, "side_info", "(n_samples, n_side_features)")
    if len(side) != n_rows:
        raise ValueError(
            f"side_info must have {n_rows} rows, one for each row of X, got {len(side)}."
        )
    if n_side_features is not None and side.shape[1] != n_side_features:
        raise ValueError(
            f"side_info must have {n_side_features} columns, as in fit, got {side.shape[1]}."
        )
    check_column_names(side_info, "side_info", names, "fit")
    return side


def side_info_for(imputer: Any, side_info: ArrayLike | None, n_rows: int) -> dict[str, Any]:
    """Return the keywords by which side information reaches the methods of an imputer."""
    if side_info is None:
        return {}
    check_side_info(side_info, n_rows)
    taken = signature(imputer.fit).parameters.values()
    # A Pipeline and a FrozenEstimator pass on what they are given.
    if not any(each.name == "side_info" or each.kind is each.VAR_KEYWORD for each in taken):
        raise ValueError(
            f"side_info must be None for an imputer that does not take any, got {imputer!r}."
        )
    return {"side_info": side_info}


def check_feature_info(feature_info: Any, names: list[Any]) -> FloatArray:
    """Return what is known of features, which have these names, as a matrix, (n_features, n_info).

    Where a frame of pandas has names of rows, and features have names, they are the same.
    """
    info = _complete_matrix(feature_info, "feature_info", "(n_features, n_info)", least_columns=0)
    if len(info) != len(names):
        raise ValueError(
            f"feature_info must have {len(names)} rows, one for each feature of X, got {len(info)}."
        )
    labels = list(feature_info.index) if hasattr(feature_info, "iloc") else names
    if labels != names and _are_names(labels) and _are_names(names):
        raise ValueError(
            f"feature_info must have a row for each feature of X, in that order, {names}, got "
            f"{labels}."
        )
    return info


def _complete_matrix(
    given: ArrayLike, name: str, shape: str, *, least_columns: int = 1
) -> FloatArray:
    refuse_dates(given, name)
    with named_in_errors(f"{name} must be a complete numeric {shape} matrix"):
        if np.ndim(given) == 1:
            raise ValueError("got one dimension; make a table of one column of it")
        return check_array(gaps_as_nan(given), dtype=np.float64, ensure_min_features=least_columns)


def draw_seed(random_state: RandomStateLike) -> int:
    """Turn a ``random_state`` into one seed, leaving global random states alone.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        None draws entropy from the operating system, where scikit-learn would read and
        advance numpy's global state. An instance is advanced.

    Returns
    -------
    seed : int
        From 0 to 2^31 - 2.
    """
    if random_state is None:
        random_state = int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.Generator):
        return next_seed(random_state)
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(_checked_seed(random_state, 2**32 - 1))
    return int(random_state.randint(2**31 - 1))


def _checked_seed(random_state: Any, largest: int | None = None) -> int:
    if isinstance(random_state, bool) or not isinstance(random_state, Integral):
        raise TypeError(
            "random_state must be None, an int, a numpy Generator or a numpy RandomState, "
            f"got {random_state!r}."
        )
    seed = int(random_state)
    if seed < 0 or (largest is not None and seed > largest):
        bound = "" if largest is None else f" or above {largest}"
        raise ValueError(f"random_state must not be negative{bound}, got {seed}.")
    return seed


def next_seed(rng: np.random.Generator) -> int:
    """Draw a seed."""
    return int(rng.integers(2**31 - 1))


def seed_random_states(estimator: Any, draw: Callable[[], int], *, every: bool = False) -> Any:
    """Seed each ``random_state`` in an estimator that is None, or every one, and return it.

    Where they are None, scikit-learn's estimators advance numpy's global random state.
    """
    names = [
        name
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and (every or value is None)
    ]
    # What is frozen returns nothing from it.
    estimator.set_params(**{name: draw() for name in sorted(names)})
    return estimator


def _of_each_feature(given: Any, names: list[Any], argument: str, default: Any) -> Any:
    """Turn what is said by names or places of features into one entry for each.

    That is a dict, or a Series of pandas with names beside features with names.
    """
    if hasattr(given, "to_dict") and np.ndim(given) == 1 and _are_names([*given.index, *names]):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        return given
    found = by_place(given, names, argument)
    return [found.get(place, default) for place in range(len(names))]


def _are_names(labels: Iterable[Any]) -> bool:
    return all(isinstance(label, str) for label in labels)


def feature_limits(
    min_value: float | ArrayLike | Mapping[Any, float] | None,
    max_value: float | ArrayLike | Mapping[Any, float] | None,
    names: list[Any],
) -> tuple[FloatArray, FloatArray]:
    """Turn bounds on imputed values into two numbers for each feature.

    Parameters
    ----------
    min_value, max_value : float, array-like of shape (n_features,), dict or None
        The bounds as the user gave them; None for no bound.
    names : list
        Names of the features, or their places.

    Returns
    -------
    lowest, highest : ndarray of shape (n_features,)

    Raises
    ------
    ValueError
        If there is neither one bound nor one for each feature, they cross, or one is NaN or
        leaves nothing finite.
    """
    limits, n_features = [], len(names)
    for name, limit, unlimited in (
        ("min_value", min_value, -np.inf),
        ("max_value", max_value, np.inf),
    ):
        of_each = _of_each_feature(limit, names, name, unlimited)
        array = np.asarray(unlimited if of_each is None else of_each)
        if (
            array.dtype.kind not in "biuf"
            or array.shape not in {(), (n_features,)}
            or np.isnan(array).any()
            or (array == -unlimited).any()
        ):
            raise ValueError(
                f"{name} must be None, a number, a sequence of {n_features} numbers, one for each "
                f"feature, or a dict of them by names or places of features, with {unlimited} "
                f"where there is no bound; NaN and {-unlimited} are not allowed; got {limit!r}."
            )
        limits.append(np.broadcast_to(array.astype(np.float64), n_features))
    if (limits[0] > limits[1]).any():
        raise ValueError(
            f"min_value must not exceed max_value, got {min_value!r} and {max_value!r}."
        )
    return limits[0], limits[1]


DIRECTIONS = {"above": 1.0, "below": -1.0, "neither": 0.0}
# Of models that know of two ends.
DIRECTIONS_AND_BOTH = DIRECTIONS | {"both": 2.0}
DIRECTION_NAMES = {sign: name for name, sign in DIRECTIONS_AND_BOTH.items()}


def feature_directions(
    missing_direction: MissingDirection,
    names: list[Any],
    unknown: float,
    directions: Mapping[str, float] = DIRECTIONS,
) -> FloatArray:
    """Turn ``missing_direction`` into 1 for "above", -1 for "below" and 0 for "neither".

    Parameters
    ----------
    missing_direction : str, None, or sequence or dict of them
        As the user gave it.
    names : list
        Names of the features, or their places.
    unknown : float
        What becomes of None, and of features that a dict does not name.
    directions : mapping of str to float
        Those that are allowed, and what becomes of them.

    Raises
    ------
    ValueError
        If there is neither one direction nor one for each feature, or one is not allowed.
    """
    n_features = len(names)
    of_each = _of_each_feature(missing_direction, names, "missing_direction", None)
    given = np.asarray(of_each, dtype=object)
    allowed: dict[Any, float] = {**directions, None: unknown}
    if (
        given.shape not in {(), (n_features,)}
        or not all(direction is None or isinstance(direction, str) for direction in given.ravel())
        or not set(given.ravel()) <= set(allowed)
    ):
        raise ValueError(
            f"missing_direction must be {', '.join(map(repr, allowed))}, a sequence of "
            f"{n_features} of these, one for each feature, or a dict of them by names or places of "
            f"features, got {missing_direction!r}."
        )
    signs = [allowed[direction] for direction in np.broadcast_to(given, n_features)]
    return np.array(signs, dtype=np.float64)


def layer_widths(hidden_dims: int | Sequence[int]) -> tuple[int, ...]:
    """Check the widths of hidden layers; one int is one layer."""
    widths = np.atleast_1d(np.asarray(hidden_dims))
    if widths.ndim != 1 or widths.dtype.kind not in "iu" or (widths < 1).any():
        raise ValueError(
            "hidden_dims must be an int or a non-empty sequence of ints, each at least 1, "
            f"got {hidden_dims!r}."
        )
    return tuple(int(width) for width in widths)


def nearest_level(levels: FloatArray, values: FloatArray) -> NDArray[np.intp]:
    """Find the nearest of ascending levels for each value; in the middle, the lower one."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values)


def levels_of(*samples: FloatArray) -> FloatArray:
    """Return the different numbers of samples, ascending; rounding to float32 makes no others."""
    found = np.unique(np.concatenate(samples))
    apart = np.diff(found) > np.finfo(np.float32).eps * np.abs(found).max()
    return found[np.append(True, apart)]


def as_generator(random_state: RandomStateLike) -> np.random.Generator:
    """Turn a seed, a generator or None into a Generator that shares nothing with numpy's global."""
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31, size=4))
    return np.random.default_rng(_checked_seed(random_state))


def observed_mean_and_std(
    X: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Give each column's mean and population sd over its cells that are not NaN (NaN if none)."""
    observed = ~np.isnan(X)
    count = np.maximum(observed.sum(axis=0), 1)
    mean = np.where(observed, X, 0.0).sum(axis=0) / count
    # Rounding may push the mean of a constant column off its value (0.1 + 0.1 + 0.1 > 0.3): all of
    # it would then lie below its mean, and its sd would not be 0.
    mean = np.clip(mean, np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0))
    variance = (np.where(observed, X - mean, 0.0) ** 2).sum(axis=0) / count
    return mean, np.where(observed.any(axis=0), np.sqrt(variance), np.nan)


def fitted_scaler(X: FloatArray) -> StandardScaler:
    """Fit scikit-learn's scaler, which passes over NaN and returns arrays.

    It takes 1 for the scale of a feature that may be constant but for rounding errors of its sums,
    which grow with the number of rows: also of long numbers such as identifiers, or times in
    nanoseconds, whose differences would be beyond all others. Here it does so only where values
    differ by no more than they are rounded by themselves.
    """
    scaler = StandardScaler().set_output(transform="default").fit(X)
    mean, std = observed_mean_and_std(X)
    is_long = (scaler.scale_ == 1) & varies(mean, std)
    scaler.mean_ = np.where(is_long, mean, scaler.mean_)
    scaler.scale_ = np.where(is_long, std, scaler.scale_)
    return scaler


def varies(mean: FloatArray, std: FloatArray) -> BoolArray:
    """Tell which features differ by more than what their values are rounded by."""
    return std > VARIES * np.spacing(np.abs(mean))


def gives_back(completed: FloatArray, values: FloatArray, scale: FloatArray | None = None) -> bool:
    """Tell whether completed data hold what is observed of values, up to rounding."""
    return bool((gives_back_cells(completed, values, scale) | np.isnan(values)).all())


def gives_back_cells(
    completed: FloatArray, values: FloatArray, scale: FloatArray | None = None
) -> BoolArray:
    """Tell which of the observed cells of values are held by completed data, up to rounding.

    Rounding is that of work in units of ``scale``; None for the standard deviations of values.
    """
    unit = observed_mean_and_std(values)[1] if scale is None else scale
    return np.abs(completed - values) <= ROUNDING * (np.abs(values) + unit)


def copy_of(X: Any) -> Any:
    """Copy X for imputers that may write to what they are given (``copy=False``)."""
    return X.copy() if hasattr(X, "copy") else X


def replace_cells(
    X: ArrayLike | DataFrameLike,
    values: FloatArray,
    cells: BoolArray,
    value: float,
) -> FloatArray | DataFrameLike:
    """Copy X, whose numbers are ``values``, with ``value`` in ``cells``; pandas stays pandas."""
    if hasattr(X, "iloc"):
        frame = gaps_as_nan(X)
        return frame.astype(values.dtype).mask(cells, value)
    replaced = values.copy()
    replaced[cells] = value
    return replaced
