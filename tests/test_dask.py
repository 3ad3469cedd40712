"""Dask: searches over a cluster, and tables in partitions, with worker processes of their own."""

import os

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from gnr_sklearn import GNRImputer, MIWAEImputer
from tests.contract import TINY, TINY_NET, make_data
from tests.mixed_frames import HOLES

distributed = pytest.importorskip("distributed")
dask_array = pytest.importorskip("dask.array")
dask_frame = pytest.importorskip("dask.dataframe")

# What Dask and its servers say of ports and of garbage that they collect is not ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(torch.set_num_threads, 1)
        yield client


def test_a_search_over_a_cluster(client):
    X = make_data(60)
    search = GridSearchCV(
        GNRImputer(**TINY_NET, missing_direction="above"), {"latent_dim": [1, 2, 3]}, cv=2
    )
    here = clone(search).fit(X)
    with joblib.parallel_config("dask"):
        there = clone(search).fit(X)
    assert len(set(client.run(os.getpid).values()) - {os.getpid()}) == 2
    for name in ("mean_test_score", "std_test_score"):
        assert_array_equal(there.cv_results_[name], here.cv_results_[name])


@pytest.mark.parametrize("chunk", [7, 25])
def test_arrays_larger_than_memory(client, chunk):
    X = make_data(60)
    imputer = GNRImputer(**TINY_NET, missing_direction="above").fit(X)
    blocks = dask_array.from_array(X, chunks=(chunk, X.shape[1]))
    imputed = blocks.map_blocks(imputer.transform, dtype=X.dtype)
    assert_array_equal(imputed.compute(), imputer.transform(X))


def test_frames_larger_than_memory(client):
    imputer = MIWAEImputer(**TINY).set_output(transform="pandas").fit(HOLES)
    partitions = dask_frame.from_pandas(HOLES, npartitions=3)
    imputed = partitions.map_partitions(imputer.transform, meta=partitions._meta).compute()
    expected = imputer.transform(HOLES)
    # Dask has strings of its own; layers so narrow round otherwise in smaller blocks.
    assert_frame_equal(imputed.astype(expected.dtypes), expected, rtol=1e-4)


def test_columns_that_are_dropped_and_marked(client):
    X = make_data(40)
    X[:, 1] = np.nan
    imputer = MIWAEImputer(**TINY, add_indicator=True).fit(X)
    blocks = dask_array.from_array(X, chunks=(10, X.shape[1]))
    width = len(imputer.get_feature_names_out())
    imputed = blocks.map_blocks(
        imputer.transform, dtype=X.dtype, chunks=(blocks.chunks[0], (width,))
    )
    assert_array_equal(imputed.compute(), imputer.transform(X))


def test_parts_of_a_table_larger_than_memory(client):
    imputer = MIWAEImputer(**TINY).set_output(transform="pandas")
    partitions = dask_frame.from_pandas(HOLES, npartitions=3)
    whole, there = partitions.compute(), clone(imputer)
    for part in partitions.partitions:
        there.partial_fit(part.compute())
    ends = np.cumsum(partitions.map_partitions(len).compute())
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        imputer.partial_fit(whole.iloc[start:end])
    imputed = partitions.map_partitions(there.transform, meta=partitions._meta).compute()
    assert_frame_equal(imputed, imputer.transform(whole))
