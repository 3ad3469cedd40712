"""The data sets that the paper measures imputers on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import fetch_openml
from sklearn.utils import Bunch

from gnr_sklearn._types import FloatArray

__all__ = ["UCI_DATASETS", "load_coat", "load_uci", "load_yahoo_r3"]


@dataclass(frozen=True)
class _UCITable:
    openml_id: int
    n_samples: int
    n_features: int
    dropped: tuple[str, ...]


_TABLES = {
    # Columns that are no measurements (sex) or that the others are meant to predict.
    "abalone": _UCITable(183, 4177, 7, ("sex", "rings", "class_number_of_rings")),
    "banknote": _UCITable(1462, 1372, 4, ("class",)),
    "concrete": _UCITable(44959, 1030, 8, ("strength",)),
    "wine_red": _UCITable(40691, 1599, 11, ("quality", "class")),
    "wine_white": _UCITable(40498, 4898, 11, ("quality", "class")),
    "yeast": _UCITable(181, 1484, 8, ("class", "class_protein_localization")),
}

#: Names of the tables that :func:`~gnr_sklearn.datasets.load_uci` reads.
UCI_DATASETS = tuple(_TABLES)


def load_uci(name: str, data_dir: str | os.PathLike[str] | None = None) -> Bunch:
    """Load one of the six UCI tables of the paper, without target and without sex.

    Parameters
    ----------
    name : {"abalone", "banknote", "concrete", "wine_red", "wine_white", "yeast"}
        Which table.
    data_dir : path-like or None, default=None
        Folder with ``NAME.csv``, comma-separated with a header, itself or in a subfolder
        ``uci``. None downloads the table from OpenML, which scikit-learn caches.

    Returns
    -------
    dataset : sklearn.utils.Bunch
        With ``data``, ndarray of shape (n_samples, n_features) and dtype float64, and
        ``feature_names``, a list of str.

    Raises
    ------
    ValueError
        If the name is unknown, or the table is not of numbers and of the shape known from the
        paper.
    FileNotFoundError
        If `data_dir` does not hold the table.

    Examples
    --------
    >>> from gnr_sklearn.datasets import load_uci
    >>> load_uci("banknote").data.shape  # doctest: +SKIP
    (1372, 4)
    """
    if not isinstance(name, str) or name not in _TABLES:
        raise ValueError(f"name must be one of {', '.join(UCI_DATASETS)}, got {name!r}.")
    table = _TABLES[name]
    names, columns = _read_openml(table) if data_dir is None else _read_csv(name, data_dir)
    kept = [i for i, column in enumerate(names) if column.lower() not in table.dropped]
    try:
        data = np.column_stack([np.asarray(columns[i], dtype=np.float64) for i in kept])
    except ValueError as error:
        raise ValueError(f"{name} must hold numbers in its columns ({error}).") from error
    if data.shape != (table.n_samples, table.n_features):
        raise ValueError(
            f"{name} must have {table.n_samples} rows and {table.n_features} features, got "
            f"{data.shape[0]} and {data.shape[1]}."
        )
    return Bunch(data=data, feature_names=[names[i] for i in kept])


def _read_csv(name: str, data_dir: str | os.PathLike[str]) -> tuple[list[str], list[Any]]:
    folder = Path(data_dir)
    for path in (folder / f"{name}.csv", folder / "uci" / f"{name}.csv"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            header, *rows = [line.split(",") for line in lines if line] or [[]]
            if not rows or any(len(row) != len(header) for row in rows):
                raise ValueError(
                    f"{path.name} must have a line of names, and below it lines with as many "
                    "numbers, separated by commas."
                )
            return header, list(zip(*rows, strict=True))
    raise FileNotFoundError(f"data_dir must hold {name}.csv or uci/{name}.csv, got {folder}.")


def _read_openml(table: _UCITable) -> tuple[list[str], list[Any]]:
    # Without the target, and without pandas, nominal columns arrive as codes.
    downloaded = fetch_openml(data_id=table.openml_id, as_frame=False, parser="liac-arff")
    return list(downloaded.feature_names), list(downloaded.data.T)


COAT_HOME = "https://www.cs.cornell.edu/~schnabts/mnar/"
YAHOO_HOME = "https://webscope.sandbox.yahoo.com"
YAHOO_FILES = "ydata-ymusic-rating-study-v1_0-{part}.txt"


def load_coat(data_dir: str | os.PathLike[str]) -> Bunch:
    """Load the Coat ratings: 290 users who rated coats they had chosen, and coats chosen for them.

    Parameters
    ----------
    data_dir : path-like
        Folder with ``train.ascii``, ``test.ascii`` and, if they are wanted, ``propensities.ascii``
        and ``user_item_features/``, itself or in a subfolder ``coat``. They come from
        https://www.cs.cornell.edu/~schnabts/mnar/ [1]_ and are not part of this package.

    Returns
    -------
    dataset : sklearn.utils.Bunch
        With ``train`` and ``test``, ndarrays of shape (290, 300) with ratings from 1 to 5 and NaN
        where there are none: 24 ratings of each user's own choice, and 16 of coats chosen at
        random, of which some stand in both. ``propensities``, of the same shape, ``user_features``
        (290, n_user_features) and ``item_features`` (300, n_item_features), or None where the
        folder has none.

    Raises
    ------
    FileNotFoundError
        If `data_dir` does not hold the ratings.
    ValueError
        If a file has another shape, or other ratings.

    References
    ----------
    .. [1] T. Schnabel, A. Swaminathan, A. Singh, N. Chandak, T. Joachims, "Recommendations as
       Treatments: Debiasing Learning and Evaluation", ICML 2016.

    Examples
    --------
    >>> from gnr_sklearn.datasets import load_coat
    >>> load_coat("data").train.shape  # doctest: +SKIP
    (290, 300)
    """
    folder = _folder_of("train.ascii", data_dir, "coat", COAT_HOME)
    tables: dict[str, FloatArray | None] = {}
    for part in ("train", "test"):
        path = folder / f"{part}.ascii"
        if not path.is_file():
            raise FileNotFoundError(f"data_dir must hold {path.name} beside train.ascii.")
        table = _read_numbers(path, (290, 300))
        _check_ratings(table, np.arange(6), path)
        tables[part] = np.where(table > 0, table, np.nan)
    features = folder / "user_item_features"
    for name, path, shape in (
        ("propensities", folder / "propensities.ascii", (290, 300)),
        ("user_features", features / "user_features.ascii", (290, None)),
        ("item_features", features / "item_features.ascii", (300, None)),
    ):
        tables[name] = _read_numbers(path, shape) if path.is_file() else None
    return Bunch(**tables)


def load_yahoo_r3(data_dir: str | os.PathLike[str]) -> Bunch:
    """Load the Yahoo! R3 ratings: songs that 15,400 users chose to rate, and ones chosen for them.

    Parameters
    ----------
    data_dir : path-like
        Folder with ``ydata-ymusic-rating-study-v1_0-train.txt`` and ``-test.txt``, itself or in a
        subfolder ``yahoo``. Yahoo gives them to those who sign its agreement, as "R3 - Yahoo! Music
        ratings for User Selected and Randomly Selected songs" of its Webscope programme; they are
        not part of this package. A line is ``user<TAB>song<TAB>rating``, with numbers from 1 on.

    Returns
    -------
    dataset : sklearn.utils.Bunch
        With ``train`` and ``test``, ndarrays of shape (15400, 1000) with ratings from 1 to 5 and
        NaN where there are none. Test ratings are of the first 5,400 users, ten each.

    Raises
    ------
    FileNotFoundError
        If `data_dir` does not hold the files.
    ValueError
        If a line is not as above.

    Examples
    --------
    >>> from gnr_sklearn.datasets import load_yahoo_r3
    >>> load_yahoo_r3("data").train.shape  # doctest: +SKIP
    (15400, 1000)
    """
    first = YAHOO_FILES.format(part="train")
    folder = _folder_of(first, data_dir, "yahoo", YAHOO_HOME)
    tables = {}
    for part in ("train", "test"):
        path = folder / YAHOO_FILES.format(part=part)
        if not path.is_file():
            raise FileNotFoundError(f"data_dir must hold {path.name} beside {first}.")
        users, songs, ratings = _read_numbers(path, (None, 3)).T
        for name, numbers, most in (("users", users, 15_400), ("songs", songs, 1000)):
            if not np.isin(numbers, np.arange(1, most + 1)).all():
                raise ValueError(f"{path.name} must number {name} from 1 to {most}, but does not.")
        _check_ratings(ratings, np.arange(1, 6), path)
        table = np.full((15_400, 1000), np.nan)
        table[users.astype(int) - 1, songs.astype(int) - 1] = ratings
        tables[part] = table
    return Bunch(**tables)


def _folder_of(name: str, data_dir: str | os.PathLike[str], subfolder: str, home: str) -> Path:
    """Find the folder of a file; say where it comes from if it is not there."""
    folder = Path(data_dir)
    for place in (folder, folder / subfolder):
        if (place / name).is_file():
            return place
    raise FileNotFoundError(
        f"data_dir must hold {name} or {subfolder}/{name}, got {folder}; see {home}."
    )


def _read_numbers(path: Path, shape: tuple[int | None, int | None]) -> FloatArray:
    """Read a table of numbers, whose shape is known at least in part."""
    wanted = " and ".join(
        f"{n} {what}" for n, what in zip(shape, ("rows", "columns"), strict=True) if n is not None
    )
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"{path.name} must be a table of numbers with {wanted} ({error})."
        ) from error
    if any(n not in (None, found) for n, found in zip(shape, table.shape, strict=True)):
        raise ValueError(f"{path.name} must have {wanted}, got shape {table.shape}.")
    return table


def _check_ratings(table: FloatArray, allowed: NDArray[np.int64], path: Path) -> None:
    if not np.isin(table, allowed).all():
        raise ValueError(
            f"{path.name} must hold whole numbers from {allowed[0]} to {allowed[-1]}, "
            f"got values from {table.min():g} to {table.max():g}."
        )
