"""Data frames of any library that narwhals knows: their gaps, and what is put into them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._types import BoolArray, FloatArray

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

__all__ = [
    "NAN_BESIDE_MARKER",
    "as_frame",
    "as_native",
    "as_objects",
    "fill_gaps",
    "observed_in",
    "present_in",
    "with_first_columns",
    "with_values",
    "without_cells",
]

NAN_BESIDE_MARKER = (
    "X must not hold NaN where missing_values is another marker: use a single marker."
)


def as_frame(X: Any, *, of_floats: bool = False) -> nw.DataFrame[Any] | None:
    """Return a pandas or polars data frame as one of narwhals, and None for anything else.

    None as well for a frame all of whose columns are floats, which is a matrix, unless it is asked
    for, and without narwhals, which scikit-learn brings along from its release 1.9 on.
    """
    if type(X).__name__ == "LazyFrame":
        raise TypeError("X must be a data frame in memory, got a LazyFrame; collect() it first.")
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return None
    try:
        import narwhals.stable.v2 as nw
    except ImportError:
        return None
    frame = nw.from_native(_plain(X), eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    is_matrix = all(dtype.is_float() for dtype in frame.schema.values())
    return frame if of_floats or not is_matrix else None


def with_values(X: Any, table: NDArray[Any], marker: float | None) -> Any:
    """Return a data frame with the values of a table of objects in its gaps."""
    frame = as_frame(X)
    assert frame is not None
    filled = []
    for place, name in enumerate(frame.columns):
        series = frame.get_column(name)
        gaps = np.flatnonzero(~observed_in(series, marker))
        filled.append(fill_gaps(series, gaps, table[gaps, place].tolist()).alias(name))
    return frame.with_columns(*filled).to_native()


def without_cells(X: Any, removed: BoolArray) -> Any:
    """Return a data frame with further gaps."""
    import narwhals.stable.v2 as nw

    frame = as_frame(X)
    assert frame is not None
    kept = []
    for name, gaps in zip(frame.columns, removed.T, strict=True):
        if gaps.any():
            keep = nw.new_series(str(name), ~gaps, backend=frame.implementation)
            kept.append(nw.when(keep).then(frame.get_column(name)).otherwise(None).alias(name))
    return frame.with_columns(*kept).to_native()


def with_first_columns(X: Any, table: FloatArray, names: Sequence[Any]) -> Any:
    """Return a data frame with columns of numbers before its own."""
    frame = as_frame(X, of_floats=True)
    assert frame is not None
    n_own, n_all = frame.shape[1], frame.shape[1] + len(names)
    order = [*range(n_own, n_all), *range(n_own)]
    return _with_columns(frame, table, names)[:, order].to_native()


def as_objects(frame: nw.DataFrame[Any], further: NDArray[Any]) -> NDArray[Any]:
    """Return a frame without holes as an array of objects, with further columns."""
    objects = np.empty((frame.shape[0], frame.shape[1] + further.shape[1]), dtype=object)
    for place, name in enumerate(frame.columns):
        objects[:, place] = frame.get_column(name).to_list()
    objects[:, frame.shape[1] :] = further
    return objects


def as_native(
    frame: nw.DataFrame[Any], further: NDArray[Any], names: Sequence[str], container: str
) -> Any:
    """Return a frame, with further columns, whose names are the last ones, in a container."""
    import narwhals.stable.v2 as nw

    native = _with_columns(frame, further, names[frame.shape[1] :]).to_native()
    if frame.implementation.is_pandas_like() == (container == "pandas"):
        return native
    other = nw.from_native(native, eager_only=True)
    return other.to_pandas() if container == "pandas" else other.to_polars()


def observed_in(series: nw.Series[Any], marker: float | None) -> BoolArray:
    """Return where a column has values, none of which is a marker, or else NaN or null."""
    import narwhals.stable.v2 as nw

    missing = series.is_null().to_numpy()
    if series.dtype.is_float():
        missing = missing | series.is_nan().fill_null(value=True).to_numpy()
    if marker is None:
        return ~missing
    if missing.any():
        raise ValueError(NAN_BESIDE_MARKER)
    # In the precision of the data: 0.1 in float32 is another number than 0.1.
    exact = float(np.float32(marker)) if series.dtype == nw.Float32 else marker
    # False is no 0, and True no 1.
    is_marker = [
        not isinstance(value, bool | np.bool_) and value == exact for value in series.to_list()
    ]
    return ~np.array(is_marker, dtype=bool)


def present_in(series: nw.Series[Any], observed: BoolArray) -> nw.Series[Any]:
    """Return the part of a column that has values."""
    return series.filter(observed.tolist()) if len(observed) else series


def fill_gaps(series: nw.Series[Any], gaps: NDArray[np.intp], values: list[Any]) -> nw.Series[Any]:
    """Return a column with values in its gaps, as far as it goes in its own type."""
    import narwhals.stable.v2 as nw

    if not len(gaps):
        return series
    if len(gaps) == len(series) and not _has_room(series.dtype, values):
        # Of a column without any value a library knows no type, or takes it to be one of floats.
        return nw.new_series(series.name, values, backend=series.implementation)
    series = _accepting(series, values)
    return series.scatter(gaps, _fitting(series, values))


def _plain(X: Any) -> Any:
    """Return a frame of pandas without columns that values cannot be put into.

    These are sparse, or floats of half precision.
    """
    if not hasattr(X, "astype") or not hasattr(X.dtypes, "items"):
        return X
    dense = {
        name: dtype.subtype
        for name, dtype in X.dtypes.items()
        if hasattr(dtype, "subtype") and hasattr(dtype, "fill_value")
    }
    half = {
        name: "float32[pyarrow]" if hasattr(dtype, "pyarrow_dtype") else np.float32
        for name, dtype in X.dtypes.items()
        if getattr(dtype, "kind", None) == "f" and getattr(dtype, "itemsize", None) == 2
    }
    return X.astype(dense | half) if dense or half else X


def _with_columns(
    frame: nw.DataFrame[Any], table: NDArray[Any], names: Sequence[Any]
) -> nw.DataFrame[Any]:
    """Return a frame with columns of numbers after its own."""
    import narwhals.stable.v2 as nw

    fresh = [
        nw.new_series(name, values, backend=frame.implementation)
        for name, values in zip(names, table.T.copy(), strict=True)
    ]
    return frame.with_columns(*fresh)


def _has_room(dtype: Any, values: Sequence[Any]) -> bool:
    """Return whether a column of a type can hold values."""
    import narwhals.stable.v2 as nw

    if dtype.is_numeric():
        return all(isinstance(value, numbers.Real | np.bool_) for value in values)
    return dtype != nw.Unknown


def _fitting(series: nw.Series[Any], values: list[Any]) -> Any:
    """Return numbers in the type of a column."""
    import narwhals.stable.v2 as nw

    if series.dtype.is_integer():
        return [round(value) for value in values]
    if series.dtype == nw.Boolean:
        return [bool(value >= 0.5) for value in values]
    if series.dtype.is_float():
        return np.asarray(values, dtype=np.float32 if series.dtype == nw.Float32 else np.float64)
    return values


def _limits_of(dtype: Any) -> tuple[int, int]:
    """Return the least and the largest integer of a type, such as UInt8 or Int128."""
    n_bits = int("".join(filter(str.isdigit, str(dtype))))
    if dtype.is_unsigned_integer():
        return 0, 2**n_bits - 1
    return -(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1


def _accepting(series: nw.Series[Any], values: Sequence[Any]) -> nw.Series[Any]:
    """Return a column that can hold the values.

    Categories may be others than in fit, and integers larger than a narrow type's.
    """
    import narwhals.stable.v2 as nw

    if series.dtype.is_integer():
        for dtype in (series.dtype, nw.Int64()):
            least, most = _limits_of(dtype)
            if all(least <= round(value) <= most for value in values):
                return series if dtype == series.dtype else series.cast(dtype)
        return series.cast(nw.Float64)
    if series.dtype == nw.Enum and not series.implementation.is_pandas_like():
        levels = series.cat.get_categories().to_list()
        new = [value for value in dict.fromkeys(values) if value not in levels]
        return series.cast(nw.Enum([*levels, *new])) if new else series
    native = series.to_native()
    if not series.implementation.is_pandas_like() or not hasattr(native, "cat"):
        return series
    new = [value for value in dict.fromkeys(values) if value not in native.cat.categories]
    if not new:
        return series
    return nw.from_native(native.cat.add_categories(new), series_only=True)
