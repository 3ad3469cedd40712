"""Readers of data sets, on files written here and on the real ones where they are."""

import numpy as np
import pytest
from sklearn.utils import Bunch

from benchmarks.protocols import find_data_dir
from gnr_sklearn import datasets
from gnr_sklearn.datasets import UCI_DATASETS, load_uci

DATA_DIR = find_data_dir(None)
SHAPES = {
    "abalone": (4177, 7),
    "banknote": (1372, 4),
    "concrete": (1030, 8),
    "wine_red": (1599, 11),
    "wine_white": (4898, 11),
    "yeast": (1484, 8),
}


@pytest.mark.skipif(DATA_DIR is None, reason="needs the folder with the UCI tables")
@pytest.mark.parametrize("name", UCI_DATASETS)
def test_real_tables(name):
    table = load_uci(name, DATA_DIR)
    assert table.data.shape == SHAPES[name]
    assert len(table.feature_names) == SHAPES[name][1]
    assert np.isfinite(table.data).all()
    assert not {"sex", "rings", "class", "quality", "strength"} & set(table.feature_names)


@pytest.mark.parametrize("folder", [".", "uci"])
def test_csv_files_are_found_and_lose_their_target(tmp_path, folder):
    values = np.random.RandomState(0).normal(size=(1372, 4)).round(4)
    lines = ["a,b,c,d,class", *(",".join(map(str, [*row, 1])) for row in values)]
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "banknote.csv").write_text("\n".join(lines) + "\n")
    table = load_uci("banknote", tmp_path)
    np.testing.assert_array_equal(table.data, values)
    assert table.feature_names == ["a", "b", "c", "d"]


def test_a_table_of_another_shape_is_refused(tmp_path):
    (tmp_path / "banknote.csv").write_text("a,b,c,d,class\n1,2,3,4,0\n")
    with pytest.raises(ValueError, match="banknote must have 1372 rows and 4 features, got 1"):
        load_uci("banknote", tmp_path)


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_dir must hold yeast\.csv"):
        load_uci("yeast", tmp_path)
    with pytest.raises(ValueError, match="name must be one of abalone, banknote"):
        load_uci("iris")


def test_openml_is_asked_where_no_folder_is_given(monkeypatch):
    def fetch(data_id, **options):
        assert data_id == 183
        names = ["Sex", *(f"x{i}" for i in range(7))]
        return Bunch(data=np.arange(4177.0)[:, None] + np.arange(8), feature_names=names)

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    table = load_uci("abalone")
    assert table.feature_names == [f"x{i}" for i in range(7)]
    assert table.data[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
