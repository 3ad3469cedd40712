"""Memory and time of imputing many rows, in a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.records import RecordFile

N_FEATURES = 20
SETTING = "30% missing completely at random, L = 1000, default network"


def main(options: argparse.Namespace) -> None:
    """Measure each number of rows and keep the records."""
    records = RecordFile("scale", options.results)
    for n_rows in (20_000,) if options.quick else (20_000, 200_000):
        command = [sys.executable, "-m", "benchmarks.scale", str(n_rows)]
        measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(n_rows, measured, flush=True)
        key = {
            "protocol": "field",
            "dataset": f"normal {n_rows} x {N_FEATURES}",
            "setting": SETTING,
            "method": "GNR transform",
        }
        records.discard(key)
        for metric in ("memory_mib", "seconds"):
            records.add(
                key | {"metric": metric}, "", 0, measured[metric], measured["seconds"], None
            )


def measure(n_rows: int) -> dict[str, float]:
    """Seconds, and the highest memory above what the process held before, input included."""
    import numpy as np

    from gnr_sklearn import GNRImputer
    from gnr_sklearn.missingness import MCAR, ampute

    rng = np.random.default_rng(0)
    X = ampute(rng.normal(size=(n_rows, N_FEATURES)), MCAR(0.3), random_state=0)
    imputer = GNRImputer(max_iter=100, random_state=0).fit(X[:2000])
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize()
    start = time.perf_counter()
    imputer.transform(X)
    seconds = time.perf_counter() - start
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"memory_mib": round((highest - before) / 2**20, 1), "seconds": round(seconds, 1)}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
