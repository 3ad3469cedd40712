"""The data sets that the paper measures imputers on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import fetch_openml
from sklearn.utils import Bunch

__all__ = ["UCI_DATASETS", "load_uci"]


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
        If the name is unknown, or the table has not the shape known from the paper.
    FileNotFoundError
        If `data_dir` does not hold the table.

    Examples
    --------
    >>> from gnr_sklearn.datasets import load_uci
    >>> load_uci("banknote").data.shape  # doctest: +SKIP
    (1372, 4)
    """
    if name not in _TABLES:
        raise ValueError(f"name must be one of {', '.join(UCI_DATASETS)}, got {name!r}.")
    table = _TABLES[name]
    names, columns = _read_openml(table) if data_dir is None else _read_csv(name, data_dir)
    kept = [i for i, column in enumerate(names) if column.lower() not in table.dropped]
    data = np.column_stack([np.asarray(columns[i], dtype=np.float64) for i in kept])
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
            header, *lines = path.read_text(encoding="utf-8").splitlines()
            cells = [line.split(",") for line in lines if line]
            return header.split(","), list(zip(*cells, strict=True))
    raise FileNotFoundError(f"data_dir must hold {name}.csv or uci/{name}.csv, got {folder}.")


def _read_openml(table: _UCITable) -> tuple[list[str], list[Any]]:
    # Without the target, and without pandas, nominal columns arrive as codes.
    downloaded = fetch_openml(data_id=table.openml_id, as_frame=False, parser="liac-arff")
    return list(downloaded.feature_names), list(downloaded.data.T)
