"""Tables with columns of several types: read as numbers, and given back as they came."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._curves import CURVED
from gnr_sklearn._frames import as_frame, fill_gaps, observed_in, present_in
from gnr_sklearn._types import BoolArray, FloatArray

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

__all__ = [
    "DISCRETE",
    "KINDS",
    "Column",
    "ColumnKind",
    "Columns",
    "by_place",
    "distributions_of_columns",
    "read_columns",
]

ColumnKind = Literal["number", "integer", "boolean", "ordinal", "categorical", "empty"]

DISCRETE = ("boolean", "ordinal", "categorical")

# Of many categories an error names the first ones.
MAX_SHOWN = 20


# Names of distributions, and the kinds of columns that they go with.
KINDS: dict[str, ColumnKind] = {
    "gaussian": "number",
    **dict.fromkeys(CURVED, "number"),
    "bernoulli": "boolean",
    "categorical": "categorical",
    "ordinal": "ordinal",
}


def distributions_of_columns(likelihood: Any, names: list[Any]) -> dict[int, str]:
    """Return what a user says of the distributions of columns, by their places."""
    if not isinstance(likelihood, Mapping):
        return {}
    given = by_place(likelihood, names, "likelihood")
    for place, name in given.items():
        if not isinstance(name, str) or name not in KINDS:
            raise ValueError(
                f"likelihood must be one of {', '.join(map(repr, KINDS))} for column "
                f"{names[place]!r}, got {name!r}."
            )
    return given


def by_place(given: Mapping[Any, Any], names: list[Any], argument: str) -> dict[int, Any]:
    """Return what a user says of columns, by their names or places, by their places."""
    found: dict[int, Any] = {}
    for key, value in given.items():
        if key in names:
            place = names.index(key)
        elif (
            isinstance(key, numbers.Integral)
            and not isinstance(key, bool)
            and 0 <= int(key) < len(names)
        ):
            place = int(key)
        else:
            raise ValueError(f"{argument} must name columns of X or their places, got {key!r}.")
        if place in found:
            raise ValueError(f"{argument} must name each column of X once, got {key!r} again.")
        found[place] = value
    return found


@dataclass(frozen=True)
class Column:
    """What is known of a column since fit.

    Attributes
    ----------
    name : str or int
        Its name, or its place in an array.
    kind : {"number", "integer", "boolean", "ordinal", "categorical", "empty"}
        "empty" is a column without values in fit, which is left out, whatever it holds later.
    categories : tuple or None, default=None
        Its levels, in order; None for numbers. In a table of numbers, k stands for the level k.
    """

    name: Any
    kind: ColumnKind
    categories: tuple[Any, ...] | None = None

    @property
    def has_numbers(self) -> bool:
        """Whether its values are numbers, or true and false."""
        return all(isinstance(level, numbers.Real | np.bool_) for level in self.categories or ())

    @property
    def is_its_code(self) -> bool:
        """Whether its values are the numbers that stand for them, as those of true and false."""
        return self.categories is None or self.categories == (False, True)

    def encode(
        self, values: Sequence[Any] | NDArray[Any], unseen: Literal["error", "missing"]
    ) -> NDArray[Any]:
        """Return numbers for values none of which is missing; NaN for a level unseen in fit."""
        if self.categories is None:
            return np.asarray(values, dtype=np.float64)
        codes = {level: code for code, level in enumerate(self.categories)}
        with _plain_values(self.name):
            encoded = np.array([codes.get(value, np.nan) for value in values], dtype=np.float64)
        unknown = np.flatnonzero(np.isnan(encoded))
        if len(unknown):
            # 0.1 in another precision is the same level.
            codes = {_in_single_precision(level): code for level, code in codes.items()}
            encoded[unknown] = [
                codes.get(_in_single_precision(values[k]), np.nan) for k in unknown.tolist()
            ]
        if unseen == "error" and np.isnan(encoded).any():
            new = values[int(np.flatnonzero(np.isnan(encoded))[0])]
            known = ", ".join(map(repr, self.categories[:MAX_SHOWN]))
            n_others = len(self.categories) - MAX_SHOWN
            others = f" and {n_others} others" if n_others > 0 else ""
            raise ValueError(
                f"X must hold categories of fit only, unless unseen_categories='missing', got "
                f"{new!r} in column {self.name!r}, whose categories are [{known}]{others}."
            )
        return encoded

    def decode(self, codes: NDArray[Any]) -> list[Any]:
        """Return the values that numbers stand for."""
        if self.categories is None:
            return (np.round(codes) if self.kind == "integer" else codes).tolist()
        return [self.categories[int(code)] for code in codes]


class Columns:
    """The columns of a table with several types, as they were in fit.

    Parameters
    ----------
    columns : sequence of Column
    unseen : {"error", "missing"}
        What to do with categories that were not there in fit.
    from_frame : bool, default=True
        Whether it was a data frame, and no array of numbers.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        unseen: Literal["error", "missing"],
        from_frame: bool = True,
    ) -> None:
        self.columns = tuple(columns)
        self.unseen = unseen
        self.from_frame = from_frame

    @classmethod
    def of_frame(
        cls,
        frame: nw.DataFrame[Any],
        asked: Mapping[int, ColumnKind],
        marker: float | None,
        unseen: Literal["error", "missing"],
        keep_empty: bool = True,
    ) -> Columns:
        """Learn the columns of a frame.

        Parameters
        ----------
        frame : narwhals.DataFrame
        asked : mapping of int to str
            Kinds of columns that do not go by the type.
        marker : float or None
            The number that says what is missing, where NaN and null do not.
        unseen : {"error", "missing"}
        keep_empty : bool, default=True
            Whether columns without values have a kind, rather than being "empty".
        """
        columns = []
        for place, name in enumerate(frame.columns):
            series = frame.get_column(name)
            there = observed_in(series, marker)
            kind = asked.get(place) or _kind_by_type(series, there)
            if kind == "number" and series.dtype.is_integer():
                kind = "integer"
            if not (keep_empty or there.any()):
                kind = "empty"
            values = present_in(series, there).to_list() if kind in DISCRETE else []
            declared = getattr(series.dtype, "categories", None)
            column = _column(name, kind, values, declared)
            if kind == "ordinal" and declared is None and not column.has_numbers:
                raise ValueError(
                    f"likelihood must not be 'ordinal' for column {name!r}, which holds "
                    f"{series.dtype} without an order; make it an ordered categorical, or numbers."
                )
            columns.append(column)
        return cls(columns, unseen)

    @classmethod
    def of_array(
        cls,
        table: NDArray[Any],
        observed: BoolArray,
        asked: Mapping[int, ColumnKind],
        unseen: Literal["error", "missing"],
        names: Sequence[Any],
        keep_empty: bool = True,
    ) -> Columns:
        """Learn the columns of an array of numbers."""
        columns = []
        for place, name in enumerate(names):
            values = table[observed[:, place], place].tolist()
            kind = asked.get(place, "number") if keep_empty or values else "empty"
            columns.append(_column(name, kind, values))
        return cls(columns, unseen, from_frame=False)

    def encode_frame(
        self, frame: nw.DataFrame[Any], marker: float | None
    ) -> tuple[FloatArray, BoolArray]:
        """Return a frame as numbers, and where it is observed; a new category is NaN there."""
        import narwhals.stable.v2 as nw

        table = np.full(frame.shape, np.nan)
        observed = np.zeros(frame.shape, dtype=bool)
        for place, (name, column) in enumerate(zip(frame.columns, self.columns, strict=True)):
            series = frame.get_column(name)
            there = observed[:, place] = observed_in(series, marker)
            if column.kind == "empty":
                continue
            if series.dtype.is_temporal():
                raise _not_understood(series)
            present = present_in(series, there)
            values: Any = present.to_list()
            if column.categories is None:
                if present.dtype.is_numeric():
                    values = present.cast(nw.Float64).to_numpy()
                elif not all(isinstance(value, numbers.Real) for value in values):
                    raise ValueError(f"X must hold numbers in column {name!r}, got {series.dtype}.")
            table[there, place] = column.encode(values, self.unseen)
        return table, observed

    def encode(self, X: Any) -> FloatArray:
        """Return a frame, or an array of objects, as numbers; NaN where there is none."""
        frame = as_frame(X)
        if frame is not None and frame.shape[1] == len(self.columns):
            return self.encode_frame(frame, None)[0]
        table = np.asarray(X, dtype=object)
        encoded = np.full(table.shape, np.nan)
        if table.ndim != 2 or table.shape[1] != len(self.columns):
            return encoded
        for place, column in enumerate(self.columns):
            values = table[:, place]
            there = _is_there(values)
            encoded[there, place] = column.encode(values[there].tolist(), self.unseen)
        return encoded

    def encode_array(self, table: NDArray[Any], observed: BoolArray) -> FloatArray:
        """Return an array of numbers with codes in the columns that have categories."""
        encoded = table.astype(np.float64)
        for place, column in enumerate(self.columns):
            if column.categories is None:
                continue
            if not column.has_numbers:
                raise TypeError(
                    "X must be a data frame, as it was in fit, where column "
                    f"{column.name!r} had the categories {list(column.categories)!r}."
                )
            there = observed[:, place]
            encoded[there, place] = column.encode(table[there, place].tolist(), self.unseen)
        return encoded

    def snap(self, codes: NDArray[Any]) -> None:
        """Round numbers to codes of categories, in place: not all imputers know of codes."""
        for place, column in enumerate(self.columns):
            if column.categories:
                largest = len(column.categories) - 1
                codes[:, place] = np.clip(np.round(codes[:, place]), 0, largest)

    def decode_array(
        self, codes: NDArray[Any], table: NDArray[Any], observed: BoolArray
    ) -> NDArray[Any]:
        """Return a table of codes as numbers, with what is observed as it came."""
        decoded = np.where(observed, table, codes)
        for place, column in enumerate(self.columns):
            gaps = ~observed[:, place]
            if gaps.any() and not column.is_its_code:
                decoded[gaps, place] = column.decode(codes[gaps, place])
        return decoded

    def decode_frame(
        self, codes: NDArray[Any], frame: nw.DataFrame[Any], observed: BoolArray
    ) -> nw.DataFrame[Any]:
        """Return a frame with what is observed as it came, and the types that it came with."""
        filled = []
        for place, (name, column) in enumerate(zip(frame.columns, self.columns, strict=True)):
            gaps = np.flatnonzero(~observed[:, place])
            values = column.decode(codes[gaps, place])
            filled.append(fill_gaps(frame.get_column(name), gaps, values).alias(name))
        return frame.with_columns(*filled)

    def extended_by(self, X: Any) -> Columns:
        """Return the columns with further levels, those of a table with the same columns."""
        of_columns = _values_of_columns(X)
        if len(of_columns) != len(self.columns):
            return self
        extended = []
        for column, values in zip(self.columns, of_columns, strict=True):
            if column.categories is not None:
                levels = tuple(dict.fromkeys((*column.categories, *values)))
                column = replace(column, categories=levels)
            extended.append(column)
        return Columns(extended, self.unseen, self.from_frame)

    @property
    def has_levels(self) -> bool:
        """Whether some columns are levels, true and false among them."""
        return any(column.categories is not None for column in self.columns)

    @property
    def has_numbers_only(self) -> bool:
        """Whether all columns hold numbers, or true and false."""
        return all(column.is_its_code for column in self.columns)

    def select(self, kept: BoolArray) -> Columns:
        """Return some of the columns."""
        columns = [column for column, is_kept in zip(self.columns, kept, strict=True) if is_kept]
        return Columns(columns, self.unseen, self.from_frame)


def read_columns(X: Any, marker: float | None = None) -> tuple[Columns, FloatArray] | None:
    """Return the columns of a data frame with several types, and it as numbers; else None."""
    frame = as_frame(X)
    if frame is None:
        return None
    columns = Columns.of_frame(frame, {}, marker, "missing")
    return columns, columns.encode_frame(frame, marker)[0]


def _values_of_columns(X: Any) -> list[list[Any]]:
    """Return what is not missing in each column of a frame, or of an array of objects."""
    frame = as_frame(X)
    if frame is not None:
        columns = map(frame.get_column, frame.columns)
        return [present_in(column, observed_in(column, None)).to_list() for column in columns]
    table = np.asarray(X, dtype=object)
    return [column[_is_there(column)].tolist() for column in table.T] if table.ndim == 2 else []


def _is_there(values: NDArray[Any]) -> BoolArray:
    """Return which of an array of objects are neither None nor NaN."""
    return np.array([value is not None and value == value for value in values], dtype=bool)


def _kind_by_type(series: nw.Series[Any], observed: BoolArray) -> ColumnKind:
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype == nw.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if dtype == nw.Enum:
        # Those of polars serve to save memory as often as to say what comes first.
        is_pandas = series.implementation.is_pandas_like()
        return "ordinal" if is_pandas else "categorical"
    if not observed.any() and _is_of_objects(series):
        return "number"
    if dtype in (nw.String, nw.Categorical):
        return "categorical"
    kinds = {_kind_of_value(value) for value in present_in(series, observed).to_list()}
    if kinds <= {"boolean", "number", "categorical"} and len(kinds) <= 1:
        return kinds.pop() if kinds else "number"
    raise _not_understood(series)


def _not_understood(series: nw.Series[Any]) -> TypeError:
    return TypeError(
        "X must hold numbers, true and false, or categories in each column, got "
        f"{series.dtype} in column {series.name!r}; encode it or leave it out."
    )


@contextmanager
def _plain_values(name: Any) -> Iterator[None]:
    """Say which column holds what cannot be a level, because it has no hash."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"X must hold plain values in column {name!r} ({error}).") from None


def _in_single_precision(value: Any) -> Any:
    """Round a number that is not whole; long whole ones, such as identifiers, would be alike."""
    if isinstance(value, float) and not value.is_integer():
        return float(np.float32(value))
    return value


def _is_of_objects(series: nw.Series[Any]) -> bool:
    """Return whether a column may hold anything, as those that pandas knows no type of."""
    return series.implementation.is_pandas_like() and series.to_native().dtype == np.dtype(object)


def _kind_of_value(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, numbers.Real):
        return "number"
    return "categorical" if isinstance(value, str) else None


def _column(
    name: Any, kind: ColumnKind, values: Sequence[Any], declared: Sequence[Any] | None = None
) -> Column:
    if kind not in DISCRETE:
        return Column(name, kind)
    with _plain_values(name):
        present = set(values)
    if declared is not None:
        return Column(name, kind, tuple(level for level in declared if level in present))
    if kind == "boolean":
        levels = {False, True} | present
        if len(levels) > 2:
            levels = present
        if len(levels) > 2:
            raise ValueError(
                f"likelihood must not be 'bernoulli' for column {name!r}, which has "
                f"{len(levels)} values."
            )
    else:
        levels = present
    try:
        in_order = sorted(levels)
    except TypeError:
        in_order = sorted(levels, key=str)
    return Column(name, kind, tuple(in_order))
