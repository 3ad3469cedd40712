"""Readers of data sets, on files written here and on the real ones where they are."""

import numpy as np
import pytest
from sklearn.utils import Bunch

from benchmarks.protocols import find_data_dir
from gnr_sklearn import datasets
from gnr_sklearn.datasets import UCI_DATASETS, load_coat, load_uci, load_yahoo_r3

DATA_DIR = find_data_dir(None)
HAS_COAT = DATA_DIR is not None and (DATA_DIR / "coat" / "train.ascii").is_file()
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


# With the mark of the order of bytes that spreadsheets begin with, or without.
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("folder", [".", "uci"])
def test_csv_files_are_found_and_lose_their_target(tmp_path, folder, encoding):
    values = np.random.RandomState(0).normal(size=(1372, 4)).round(4)
    lines = ["class,a,b,c,d", *(",".join(map(str, [1, *row])) for row in values)]
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "banknote.csv").write_text("\n".join(lines) + "\n", encoding)
    table = load_uci("banknote", tmp_path)
    np.testing.assert_array_equal(table.data, values)
    assert table.feature_names == ["a", "b", "c", "d"]


def test_a_table_of_another_shape_is_refused(tmp_path):
    (tmp_path / "banknote.csv").write_text("a,b,c,d,class\n1,2,3,4,0\n")
    with pytest.raises(ValueError, match="banknote must have 1372 rows and 4 features, got 1"):
        load_uci("banknote", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"^banknote\.csv must have a line of names, and below it lines with as many numbers"),
        ("a,b,c,d,class\n", r"^banknote\.csv must have a line of names"),
        ("a,b,c,d,class\n1,2,3,4,0\n1,2,3\n", r"^banknote\.csv must have a line of names"),
        ("a,b,c,d,class\n1,2,x,4,0\n", r"^banknote must hold numbers in its columns .*'x'"),
    ],
    ids=["empty", "names alone", "a short line", "text"],
)
def test_files_that_are_no_tables_are_refused(tmp_path, content, message):
    (tmp_path / "banknote.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
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


def write_coat(folder, seed=0):
    """Write files of the form of Coat's, and return what is in them."""
    rng = np.random.RandomState(seed)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for part in ("train", "test"):
        written[part] = rng.randint(0, 6, size=(290, 300))
        np.savetxt(folder / f"{part}.ascii", written[part], fmt="%d")
    return written


@pytest.mark.parametrize("place", [".", "coat"])
def test_coat_from_files(tmp_path, place):
    written = write_coat(tmp_path / place)
    coat = load_coat(tmp_path)
    for part, table in written.items():
        np.testing.assert_array_equal(np.nan_to_num(coat[part]), table)
        assert np.isnan(coat[part]).sum() == (table == 0).sum()
    assert coat.propensities is coat.user_features is coat.item_features is None


def test_coat_with_what_is_known_of_users_and_items(tmp_path):
    write_coat(tmp_path)
    (tmp_path / "user_item_features").mkdir()
    rng = np.random.RandomState(1)
    names = ("propensities", "user_item_features/user_features", "user_item_features/item_features")
    tables = [rng.uniform(size=shape) for shape in ((290, 300), (290, 14), (300, 33))]
    for name, table in zip(names, tables, strict=True):
        np.savetxt(tmp_path / f"{name}.ascii", table)
    coat = load_coat(tmp_path)
    found = coat.propensities, coat.user_features, coat.item_features
    for table, read in zip(tables, found, strict=True):
        np.testing.assert_allclose(read, table)


def test_wrong_coat_files(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"hold train\.ascii or coat/train\.ascii.*schnabts"
    ):
        load_coat(tmp_path)
    write_coat(tmp_path)
    (tmp_path / "test.ascii").unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.ascii beside train\.ascii"):
        load_coat(tmp_path)
    np.savetxt(tmp_path / "test.ascii", np.zeros((290, 299)))
    with pytest.raises(ValueError, match=r"test\.ascii must have 290 rows and 300 columns, got"):
        load_coat(tmp_path)
    np.savetxt(tmp_path / "test.ascii", np.full((290, 300), 6))
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 5, got values from 6 to 6"):
        load_coat(tmp_path)
    (tmp_path / "test.ascii").write_text("1 2 x")
    with pytest.raises(ValueError, match=r"test\.ascii must be a table of numbers"):
        load_coat(tmp_path)


def write_yahoo(folder, train, test):
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", train), ("test", test)):
        lines = ["\t".join(map(str, row)) for row in rows]
        path = folder / f"ydata-ymusic-rating-study-v1_0-{part}.txt"
        path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("place", [".", "yahoo"])
def test_yahoo_from_files(tmp_path, place):
    train = [(1, 1, 5), (15400, 1000, 1), (7, 3, 2)]
    write_yahoo(tmp_path / place, train, [(1, 2, 4)])
    yahoo = load_yahoo_r3(tmp_path)
    assert yahoo.train.shape == yahoo.test.shape == (15_400, 1000)
    assert np.isfinite(yahoo.train).sum() == 3
    assert [yahoo.train[user - 1, song - 1] for user, song, _ in train] == [5, 1, 2]
    assert np.argwhere(np.isfinite(yahoo.test)).tolist() == [[0, 1]]
    assert yahoo.test[0, 1] == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, 1, 5), "must number users from 1 to 15400"),
        ((1.5, 1, 5), "must number users from 1 to 15400"),
        ((1, 1001, 5), "must number songs from 1 to 1000"),
        ((1, 1, 0), "must hold whole numbers from 1 to 5, got values from 0 to 5"),
        ((1, 1), "must be a table of numbers with 3 columns"),
        ((1, 1, "good"), "must be a table of numbers with 3 columns"),
    ],
)
def test_wrong_yahoo_files(tmp_path, row, message):
    write_yahoo(tmp_path, [(1, 1, 5), row], [(1, 2, 4)])
    with pytest.raises(ValueError, match=message):
        load_yahoo_r3(tmp_path)


def test_missing_yahoo_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"rating-study.*webscope"):
        load_yahoo_r3(tmp_path)
    write_yahoo(tmp_path, [(1, 1, 5)], [(1, 2, 4)])
    (tmp_path / "ydata-ymusic-rating-study-v1_0-test.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"v1_0-test\.txt beside"):
        load_yahoo_r3(tmp_path)


@pytest.mark.skipif(not HAS_COAT, reason="needs the folder with Coat")
def test_real_coat():
    coat = load_coat(DATA_DIR)
    rated, asked = np.isfinite(coat.train), np.isfinite(coat.test)
    assert (rated.sum(axis=1) == 24).all()
    assert (asked.sum(axis=1) == 16).all()
    both = rated & asked
    assert both.sum() == 366
    np.testing.assert_array_equal(coat.train[both], coat.test[both])
    assert coat.user_features.shape == (290, 14)
    assert coat.item_features.shape == (300, 33)
    assert 0 < coat.propensities.min() < coat.propensities.max() < 1
