"""Imputers used from several threads and processes at a time.

Processes are those of scripts: one that waits for ever has to be ended, and to be a failure.
"""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.contract import make_data

N_THREADS = 8


def test_one_imputer_serves_eight_threads(fitted):
    parts = np.array_split(make_data(80, seed=2), 8)
    expected = [fitted.transform(part) for part in parts]
    calls = {"transform": lambda part: fitted.transform(part)}
    if hasattr(fitted, "sample"):
        calls["sample"] = lambda part: fitted.sample(part, n_draws=2, random_state=0)
    with ThreadPoolExecutor(N_THREADS) as pool:
        for call in calls.values():
            alone = [call(part) for part in parts]
            for one, together in zip(alone, pool.map(call, parts), strict=True):
                assert_array_equal(together, one)
        # In between, and afterwards, what it imputes is what it was.
        for one, together in zip(expected, pool.map(fitted.transform, parts), strict=True):
            assert_array_equal(together, one)


SCRIPT = """
import multiprocessing, sys
import joblib
import numpy as np
import torch
from gnr_sklearn import GAINImputer, GNRImputer

NET = {"max_iter": 10, "random_state": 0}
IMPUTERS = [
    GNRImputer(**NET, hidden_dims=256, missing_direction="above", prior=None),
    GAINImputer(**NET),
]

if __name__ == "__main__":
    # With the threads of the parent there are, a child would wait for those that it has not.
    torch.set_num_threads(2)
    square = torch.randn(1500, 1500)
    (square @ square).tanh().sum()
    rng = np.random.RandomState(0)
    X = rng.randn(600, 1) + 0.5 * rng.randn(600, 6)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    parts = np.array_split(X[:200], 4)
    # Each process that is spawned imports everything anew: of these, one imputer's will do.
    for imputer in IMPUTERS[: 1 if sys.argv[1] == "spawn" else None]:
        expected = imputer.fit(X).transform(X[:200])
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            imputed = np.vstack(pool.map(imputer.transform, parts))
            # With one thread or two sums are rounded in another order.
            scale = np.nanstd(X, axis=0)
            print(type(imputer).__name__, np.abs((imputed - expected) / scale).max() < 1e-4)
            fits = pool.map(imputer.fit, [X, X])
            one, two = (fit.transform(X[:200]) for fit in fits)
            print((one == two).all())
        # That of joblib which forks, or the one that does not.
        backend = "multiprocessing" if sys.argv[1] == "fork" else "loky"
        with joblib.parallel_config(backend, n_jobs=2):
            calls = (joblib.delayed(imputer.transform)(part) for part in parts)
            again = np.vstack(joblib.Parallel()(calls))
        print(np.abs((again - expected) / scale).max() < 1e-4)
    print("done")
"""


@pytest.mark.parametrize(("method", "n_imputers"), [("fork", 2), ("spawn", 1)])
def test_processes_after_torch_has_used_threads(method, n_imputers, tmp_path):
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(path), method],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        # Its children too, which would hold the pipes open.
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("deadlock")
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert lines[-1] == "done"
    assert len(lines) == 3 * n_imputers + 1
    assert "False" not in output
