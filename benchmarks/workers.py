"""What a second process is worth, and how much memory each of Dask's has.

Here are two cores: one process and two of one thread each, in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from benchmarks import scale
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer, MIWAEImputer

SHAPE = (20_000, 20)
BATCHES = (128, 1024)
STEPS = 300
# Two processes at a time against one, so often.
REPEATS = 3
# Rows of a partition, and of the table.
PARTITIONS = ((2_000, 40_000), (20_000, 40_000), (2_000, 160_000))

TOGETHER = GNRImputer(
    missing_direction="above", prior=None, max_iter=STEPS, precision="float32", random_state=0
)
FILLING = MIWAEImputer(max_iter=STEPS, random_state=0)


def measure(records: RecordFile, *, quick: bool) -> None:
    """Measure training by two processes, a search and imputation on Dask's workers."""
    repeats = 1 if quick else REPEATS
    for batch_size in BATCHES:
        runs = [
            (together(1, batch_size), together(2, batch_size))
            for _ in range(1 if quick else repeats)
        ]
        alone, shared = runs[0]
        keep(records, f"training, batch {batch_size}", {
            "worker_speedup": float(np.median([a["seconds"] / b["seconds"] for a, b in runs])),
            "bound_ratio": shared["bound"] / alone["bound"],
        })  # fmt: skip
    searches = [(search(1), search(2)) for _ in range(repeats)]
    keep(records, "search of four on Dask", {
        "worker_speedup": float(np.median([one / two for one, two in searches])),
    })  # fmt: skip
    for part, n_rows in PARTITIONS[: 1 if quick else None]:
        one, two = fill_by_dask(part, n_rows, 1), fill_by_dask(part, n_rows, 2)
        keep(records, f"transform of {n_rows} rows on Dask, {part} at a time", {
            "worker_speedup": one["seconds"] / two["seconds"],
            "memory_mib": two["memory_mib"],
        })  # fmt: skip


def keep(records: RecordFile, what: str, measured: dict[str, float]) -> None:
    print(what, measured, flush=True)
    key = {"protocol": "-", "dataset": what, "setting": "two workers and one", "method": "GNR"}
    if "transform" in what:
        key["method"] = "MIWAE"
    records.replace(key, measured)


def together(n_processes: int, batch_size: int) -> dict[str, float]:
    """Fit by so many processes; their first says what it took."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        processes = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "benchmarks.workers", folder, str(rank),
                    str(n_processes), str(batch_size),
                ],
                stdout=subprocess.PIPE, env=environment,
            )
            for rank in range(n_processes)
        ]  # fmt: skip
        outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"A process of {n_processes} failed.")
    return json.loads(outputs[0].splitlines()[-1])


def fit_with_others(folder: str, rank: int, n_processes: int, batch_size: int) -> dict[str, float]:
    """Fit as one of some processes, after all are ready."""
    torch.set_num_threads(1)
    group = f"file://{folder}/group"
    torch.distributed.init_process_group(
        "gloo", init_method=group, rank=rank, world_size=n_processes
    )
    X = scale.draw(*SHAPE)
    imputer = clone(TOGETHER).set_params(batch_size=batch_size, data_parallel=n_processes > 1)
    clone(imputer).set_params(max_iter=2).fit(X)
    torch.distributed.barrier()
    start = time.perf_counter()
    imputer.fit(X)
    seconds = time.perf_counter() - start
    bound = imputer.score(X[:2000])
    torch.distributed.destroy_process_group()
    return {"seconds": seconds, "bound": bound}


def cluster(n_workers: int) -> Any:
    """Start workers of one thread each."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None
    )


def search(n_workers: int) -> float:
    """Seconds of a search."""
    from distributed import Client

    X = scale.draw(3000, 20)
    grid = GridSearchCV(clone(TOGETHER), {"latent_dim": [2, 4, 8, 16]}, cv=2, refit=False)
    with cluster(n_workers) as workers, Client(workers) as client:
        client.run(torch.set_num_threads, 1)
        client.run(import_all)
        start = time.perf_counter()
        with joblib.parallel_config("dask"):
            grid.fit(X)
        return time.perf_counter() - start


def fill_by_dask(part: int, n_rows: int, n_workers: int) -> dict[str, float]:
    """Seconds and the highest memory of a worker, above what it had before."""
    import dask.array as da
    from distributed import Client

    torch.set_num_threads(1)
    imputer = clone(FILLING).fit(scale.draw(5000, 20))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npy"
        scale.write(n_rows, path)
        with cluster(n_workers) as workers, Client(workers) as client:
            client.run(torch.set_num_threads, 1)
            client.run(import_all)
            client.run(imputer.transform, scale.draw(100, 20))
            before = client.run(highest_memory)
            table = da.from_array(
                np.load(path, mmap_mode="r"), chunks=(part, 20), inline_array=False
            )
            filled = table.map_blocks(imputer.transform, dtype=np.float64)
            start = time.perf_counter()
            # Of each part only a number comes back: where parts go is another matter.
            missing = da.isnan(filled).sum().compute()
            seconds = time.perf_counter() - start
            after = client.run(highest_memory)
    assert missing == 0
    growth = max(after[worker] - before[worker] for worker in before)
    return {"seconds": seconds, "memory_mib": growth}


def highest_memory() -> float:
    """Highest memory of this process so far, MiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def import_all() -> None:
    """Import what the first task would."""
    import gnr_sklearn.vae  # noqa: F401


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder, *numbers = sys.argv[1:]
    print(json.dumps(fit_with_others(folder, *map(int, numbers))))
