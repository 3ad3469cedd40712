"""Where memory runs out, rows are imputed in smaller chunks."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from gnr_sklearn import GAINImputer, MIWAEImputer, NotMIWAEImputer, PSMVAEImputer
from gnr_sklearn.nn.rows import MaskedRows, map_chunks
from tests.contract import make_data, paper_gnr

NET = {"hidden_dims": 8, "max_iter": 20, "random_state": 0}
NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    MemoryError("Unable to allocate 20. GiB for an array"),
]


def table_of(n_rows):
    return np.tile(make_data(), (20, 1))[:n_rows]


def fail_above(module, n_rows, error):
    """Let a module fail on more rows, and return the numbers of rows that it was given."""
    seen = []

    def refuse(module, args, kwargs):
        seen.append(len(kwargs["x"]))
        if seen[-1] > n_rows:
            raise error

    module.register_forward_pre_hook(refuse, with_kwargs=True)
    return seen


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "imputer",
    [
        MIWAEImputer(**NET),
        NotMIWAEImputer(**NET),
        PSMVAEImputer(**NET, n_components=2),
        GAINImputer(**NET),
        paper_gnr(**NET, latent_dim=1),
    ],
    ids=lambda imputer: type(imputer).__name__,
)
def test_transform_falls_back_to_smaller_chunks(imputer, error):
    table = table_of(200)
    imputer.fit(table)
    expected = imputer.transform(table)
    methods = [imputer.transform]
    if hasattr(imputer, "score_samples"):
        methods += [imputer.score_samples, imputer.effective_sample_size]
    wanted = [method(table) for method in methods]
    # GAIN computes with a copy of its module, which hooks go along with.
    seen = fail_above(imputer.net_.module_, 40, error)
    for method, result in zip(methods, wanted, strict=True):
        np.testing.assert_allclose(method(table), result, rtol=1e-5, atol=1e-5)
    assert max(seen) > 40 >= seen[-1]
    if hasattr(imputer, "sample"):
        draws = imputer.sample(table, n_draws=2, random_state=0)
        assert draws.shape == (2, *expected.shape)
        assert not np.isnan(draws).any()


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_the_smallest_chunk_is_the_last_try(error):
    table = table_of(200)
    imputer = MIWAEImputer(**NET).fit(table)
    seen = fail_above(imputer.net_.module_, 0, error)
    with pytest.raises(type(error), match="allocate 20"):
        imputer.transform(table)
    assert seen[-1] == 16
    assert seen == sorted(seen, reverse=True)


def test_other_errors_are_not_tried_again():
    table = table_of(200)
    imputer = MIWAEImputer(**NET).fit(table)
    seen = fail_above(imputer.net_.module_, 0, RuntimeError("mat1 and mat2 shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        imputer.transform(table)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("n_rows", "chunk_size", "fits"), [(100, 64, 32), (33, 33, 16), (70, 16, 16)]
)
def test_no_row_is_lost_or_computed_twice(n_rows, chunk_size, fits):
    def function(filled, n_wanted):
        if len(filled) > fits:
            raise MemoryError
        return filled.x[:n_wanted, 0]

    x = torch.arange(n_rows).float().unsqueeze(1)
    rows = MaskedRows(x, torch.ones_like(x))
    parts = list(map_chunks(function, rows, chunk_size, torch.device("cpu")))
    torch.testing.assert_close(torch.cat([part for _, part in parts]), x[:, 0])
    assert [chunk.start for chunk, _ in parts] == list(range(0, n_rows, fits))


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process by Linux")
def test_real_lack_of_memory():
    """A process that may take 300 MiB more has chunks that need more than a GB."""
    script = """
        import resource
        from pathlib import Path
        import numpy as np, torch
        from gnr_sklearn import _sampling
        from gnr_sklearn.nn import training

        torch.set_num_threads(1)
        X = np.random.default_rng(0).normal(size=(10_000, 6))
        X[:, 0][X[:, 0] > 1] = np.nan
        from gnr_sklearn import MIWAEImputer
        imputer = MIWAEImputer(max_iter=20, n_imputation_samples=100, random_state=0).fit(X[:500])
        expected = imputer.transform(X)
        _sampling.ELEMENTS["cpu"], _sampling.MAX_ROWS["cpu"] = 2**31, 2**31
        sizes = []
        sampling = _sampling.map_samples.__globals__["adaptive_importance_sampling"]
        def spy(model, rows, *args):
            sizes.append(len(rows))
            return sampling(model, rows, *args)
        _sampling.map_samples.__globals__["adaptive_importance_sampling"] = spy
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 300 * 2**20, resource.RLIM_INFINITY))
        imputed = imputer.transform(X)
        np.testing.assert_allclose(imputed, expected, atol=1e-4)
        assert sizes[0] > 100_000 > 10_000 > sizes[-1], sizes
        print("in chunks of", sizes[-1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "in chunks of" in done.stdout, done.stderr
