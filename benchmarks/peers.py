"""Other imputers on the same tables with the same masks: seconds, memory and error.

Field protocol, self-masking, at 80% unless other rates are asked for. A table is split at random
into training rows (80%) and new rows (20%). Each imputer is fitted to the raw training rows with
their holes, in a process of its own on one core, in an environment of its own where it is not among
what this package needs anyway, and then imputes the new rows. What is measured:

- ``seconds_fit``: fitting. Where that imputes the training rows on its way (IterativeImputer,
  miceforest and hyperimpute's GAIN), it is the seconds of both.
- ``seconds_transform``: imputing the new rows. hyperimpute's GAIN trains anew to do so.
- ``memory_mib``: the highest memory above what the process held before fit, while it fits and
  imputes the training rows and the new ones.
- ``rmse`` and ``rmse_new_rows``: the error of the training rows and of the new ones.

Seconds are those of the processor, as other work on the machine does not lengthen them: on one
core they are what passes where there is no other work.

Every imputer has its defaults, or what its documentation starts with where there is no default.
KNNImputer, hyperimpute's MIWAE and notmiwae-pytorch depend on the units and do not see to them.
They, and hyperimpute's GAIN, which does, get columns standardised by mean and standard deviation
of what is observed in the training rows, and what they impute is taken back to the units of the
table.

Environments are kept in the folder of the environment variable ``GNR_PEERS_DIR``, or among the
temporary files. What could not be installed or run is told in ``peers_failures.txt``, beside
the records.

The file is also the script that measures: as such, it needs NumPy and the one imputer.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

RATES = (0.8,)
NEW_ROWS = 0.2
DATASETS = ("wine_white", "concrete")
LONGEST = 3600  # seconds that a measurement may take
METRICS = ("rmse", "rmse_new_rows", "seconds_fit", "seconds_transform", "memory_mib")

# Each of these sets the number of threads of some library.
ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
}  # fmt: skip

# An open range of torch would fetch several GB of CUDA packages on some machines.
TORCH = "torch==2.13.0"
ARRAYS = ("numpy==2.4.6", "pandas==3.1.1")
# With all that hyperimpute asks for, TensorFlow among it, the environment has 4.7 GB. These two
# plug-ins run on what follows.
HYPERIMPUTE = (
    *ARRAYS, TORCH, "scikit-learn==1.9.1", "optuna==5.0.0", "loguru==0.6.0", "cloudpickle==3.1.2",
    "pydantic==2.14.3",
)  # fmt: skip


class Runner(Protocol):
    """An imputer that is ready to be fitted: what takes it to import is imported."""

    def fit(self, X: np.ndarray) -> np.ndarray | None:
        """Fit, and return the imputed rows if they come with it."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Impute rows by what was fitted."""


class Estimator:
    """What has the methods of scikit-learn; ``together`` where fitting is imputing."""

    def __init__(self, imputer: Any, together: bool = False) -> None:
        self.imputer = imputer
        self.together = together

    def fit(self, X: np.ndarray) -> np.ndarray | None:
        if self.together:
            return np.asarray(self.imputer.fit_transform(X))
        self.imputer.fit(X)
        return None

    def transform(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.imputer.transform(X))


class MiceForest:
    """Completes a data frame while it is fitted, and keeps its models for new rows."""

    N_ITERATIONS = 5

    def __init__(self, seed: int) -> None:
        import miceforest
        import pandas

        self.frame = pandas.DataFrame
        self.kernel_type = miceforest.ImputationKernel
        self.seed = seed

    def _name(self, X: np.ndarray) -> Any:
        return self.frame(X, columns=[f"x{feature}" for feature in range(X.shape[1])])

    def fit(self, X: np.ndarray) -> np.ndarray:
        self.kernel = self.kernel_type(self._name(X), random_state=self.seed)
        self.kernel.mice(self.N_ITERATIONS)
        return self.kernel.complete_data(0).to_numpy()

    def transform(self, X: np.ndarray) -> np.ndarray:
        imputed = self.kernel.impute_new_data(self._name(X))
        # Unasked, release 6 takes new rows as it filled them at random before the first iteration:
        # it does not count the iterations that it does for these.
        return imputed.complete_data(0, iteration=self.N_ITERATIONS).to_numpy()


class NotMIWAE:
    """The model and the trainer of notmiwae-pytorch, with what its first example does."""

    def __init__(self, seed: int) -> None:
        import notmiwae_pytorch
        import torch

        notmiwae_pytorch.utils.set_seed(seed)
        self.torch = torch
        self.package = notmiwae_pytorch

    def _rows(self, X: np.ndarray) -> Any:
        filled, observed = np.nan_to_num(X), ~np.isnan(X)
        tensors = [self.torch.tensor(a, dtype=self.torch.float32) for a in (filled, observed)]
        return self.torch.utils.data.TensorDataset(*tensors)

    def fit(self, X: np.ndarray) -> None:
        self.model = self.package.NotMIWAE(X.shape[1])
        trainer = self.package.Trainer(self.model)
        loader = self.torch.utils.data.DataLoader(self._rows(X), batch_size=64, shuffle=True)
        trainer.train(loader, n_epochs=100)

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.package.utils.impute(self.model, self._rows(X), n_samples=1000)


def ours(name: str, **params: Any) -> Callable[[int], Runner]:
    """Make an imputer of this package."""

    def make(seed: int) -> Runner:
        import gnr_sklearn

        return Estimator(getattr(gnr_sklearn, name)(random_state=seed, **params))

    return make


def iterative_imputer(seed: int) -> Runner:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return Estimator(IterativeImputer(random_state=seed), together=True)


def knn_imputer(seed: int) -> Runner:
    from sklearn.impute import KNNImputer

    return Estimator(KNNImputer())


def hyperimpute(name: str, together: bool) -> Callable[[int], Runner]:
    """Make a plug-in of hyperimpute."""

    def make(seed: int) -> Runner:
        import torch

        # On import, hyperimpute asks for two threads.
        torch.set_num_threads(1)
        from hyperimpute.plugins.imputers import Imputers

        return Estimator(Imputers().get(name, random_state=seed), together)

    return make


@dataclass(frozen=True)
class Peer:
    """An imputer, what it takes to install it, and how it is run.

    A ``distribution`` with a version is installed in an environment of its own. What has none, or
    no distribution at all because it is ours, runs in the environment of this process.
    """

    name: str
    make: Callable[[int], Runner]
    settings: str
    distribution: str = ""
    requirements: tuple[str, ...] = ()
    # Whether to install the distribution without what it asks for itself.
    alone: bool = False
    standardise: bool = False

    @property
    def label(self) -> str:
        """The name, and the version; ours go by the names they have in the other tables."""
        package, _, version = self.distribution.partition("==")
        if not package:
            return self.name
        version = version or importlib.metadata.version(package)
        source = "" if package == self.name else f", {package}"
        return f"{self.name}{source} {version}"


PEERS = (
    Peer("mean", ours("MeanImputer"), "MeanImputer()"),
    Peer(
        "IterativeImputer",
        iterative_imputer,
        "IterativeImputer(), fit and transform in one",
        "scikit-learn",
    ),
    Peer("KNNImputer", knn_imputer, "KNNImputer(), standardised", "scikit-learn", standardise=True),
    Peer(
        "MissForest",
        ours("MissForestImputer", n_estimators=100, skip_complete=True),
        "MissForestImputer(n_estimators=100, skip_complete=True)",
    ),
    Peer("MICE", ours("MICEImputer"), "MICEImputer()"),
    Peer("GNR", ours("GNRImputer"), "GNRImputer()"),
    Peer("GAIN", ours("GAINImputer"), "GAINImputer()"),
    Peer(
        "miceforest",
        MiceForest,
        "ImputationKernel(data).mice(5), fit and transform in one, new rows at iteration 5",
        "miceforest==6.0.5",
        # lightgbm 4.7 changed a private method that miceforest 6.0.5 calls.
        (*ARRAYS, "lightgbm==4.6.0"),
    ),
    Peer(
        "miwae",
        hyperimpute("miwae", together=False),
        'Imputers().get("miwae"), standardised',
        "hyperimpute==0.1.17",
        HYPERIMPUTE,
        alone=True,
        standardise=True,
    ),
    Peer(
        "gain",
        # Its fit does nothing: it trains on the very rows that it is to impute, even new ones.
        hyperimpute("gain", together=True),
        'Imputers().get("gain"), standardised, fit and transform in one; trained again on new rows',
        "hyperimpute==0.1.17",
        HYPERIMPUTE,
        alone=True,
        standardise=True,
    ),
    Peer(
        "notmiwae-pytorch",
        NotMIWAE,
        "NotMIWAE(n_features), batches of 64, 100 epochs, 1000 samples to impute, standardised",
        "notmiwae-pytorch==0.1.3",
        # It imports the last two without asking for them.
        ("numpy==2.4.6", TORCH, "tensorboard==2.21.0", "matplotlib==3.11.2"),
        standardise=True,
    ),
)


def main(options: argparse.Namespace) -> None:
    """Measure what is not on record yet, one at a time."""
    from benchmarks.protocols import find_data_dir

    names = options.methods or [peer.name for peer in PEERS]
    run_peers(
        [peer for peer in PEERS if peer.name in names],
        options.datasets or DATASETS,
        options.rates or RATES,
        range(options.seeds or 1),
        options.results,
        find_data_dir(options.data_dir),
    )


def run_peers(
    peers: list[Peer],
    datasets: Sequence[str],
    rates: Sequence[float],
    seeds: range,
    results: Path,
    data_dir: Path | None,
) -> None:
    """Measure and record; what fails is told, and the rest goes on."""
    from benchmarks.records import RecordFile

    records = RecordFile("peers", results)
    failures = results / "peers_failures.txt"
    for peer in peers:
        todo = [
            (dataset, rate, seed)
            for dataset in datasets
            for rate in rates
            for seed in seeds
            if not records.has(record_key(peer, dataset, rate, METRICS[-1]), peer.settings, seed)
        ]
        if not todo:
            print(f"{peer.label}: on record", flush=True)
            continue
        try:
            python = environment(peer)
        except subprocess.SubprocessError as error:
            note(failures, peer.label, "install", reason(error))
            continue
        note(failures, peer.label, "install", None)
        for dataset, rate, seed in todo:
            place = f"run on {dataset}, {rate:.0%}, seed {seed}"
            try:
                values = measure_in_process(peer, python, dataset, rate, seed, data_dir)
            # A ValueError says that what was imputed is not a complete table.
            except (subprocess.SubprocessError, ValueError) as error:
                note(failures, peer.label, place, reason(error))
                continue
            note(failures, peer.label, place, None)
            print(f"{peer.label}, {dataset}, {rate:.0%}, seed {seed}: {values}", flush=True)
            for metric in METRICS:
                key = record_key(peer, dataset, rate, metric)
                seconds = values["seconds_fit"]
                records.add(key, peer.settings, seed, values[metric], seconds, None)


def record_key(peer: Peer, dataset: str, rate: float, metric: str) -> dict[str, str]:
    return {
        "protocol": "field",
        "dataset": dataset,
        "setting": f"{rate:.0%}",
        "method": peer.label,
        "metric": metric,
    }


def environment(peer: Peer) -> Path:
    """Find the interpreter that has this peer, or make an environment for it."""
    if "==" not in peer.distribution:
        return Path(sys.executable)
    default = Path(tempfile.gettempdir()) / "gnr-sklearn-peers"
    parts = (*peer.requirements, peer.distribution, str(peer.alone))
    # Other requirements are another environment.
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    distribution = peer.distribution.partition("==")[0]
    folder = Path(os.environ.get("GNR_PEERS_DIR", default)) / f"{distribution}-{digest}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        print(f"{peer.label}: installing", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps: list[list[str]] = [[*peer.requirements, peer.distribution]]
        if peer.alone:
            steps = [list(peer.requirements), ["--no-deps", peer.distribution]]
        for step in steps:
            subprocess.run([*pip, *step], check=True, capture_output=True, text=True)
        complete.touch()
    return python


def measure_in_process(
    peer: Peer, python: Path, dataset: str, rate: float, seed: int, data_dir: Path | None
) -> dict[str, float]:
    """Run the measurement in the peer's environment, and compare with the complete table."""
    from sklearn.model_selection import train_test_split

    from benchmarks.protocols import load
    from gnr_sklearn.metrics import imputation_rmse
    from gnr_sklearn.missingness import SelfMasking, ampute

    complete = load(dataset, data_dir)
    X = ampute(complete, SelfMasking(rate), random_state=seed)
    training, new = train_test_split(np.arange(len(X)), test_size=NEW_ROWS, random_state=seed)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "holes.npz", Path(folder) / "imputed.npz"
        np.savez(source, training=X[training], new=X[new], seed=seed)
        # -P keeps the modules beside this file, as records.py, out of the peer's way.
        subprocess.run(
            [str(python), "-P", __file__, "--run", peer.name, str(source), str(target)],
            check=True,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            cwd=folder,
            env=os.environ | ONE_THREAD,
        )
        with np.load(target) as measured:
            values = dict(measured)
    for metric, rows in (("rmse", training), ("rmse_new_rows", new)):
        imputed = values.pop("training" if metric == "rmse" else "new")
        values[metric] = imputation_rmse(
            complete[rows], imputed, np.isnan(X[rows]), scale=complete.std(axis=0)
        )
    return {metric: round(float(values[metric]), 4) for metric in METRICS}


def reason(error: Exception) -> str:
    """Give the last line of an error, without what is of this machine only."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {LONGEST} s"
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    text = lines[-1] if lines else type(error).__name__
    return re.sub(r"(\w+:/)?(/[\w.+~-]+){2,}/?", "(path)", text)


def note(path: Path, label: str, place: str, text: str | None) -> None:
    """Keep why something failed, one line each; without a text, forget it."""
    start = f"{label}: {place}: "
    lines = path.read_text().splitlines() if path.exists() else []
    lines = [line for line in lines if not line.startswith(start)]
    if text is not None:
        print(start + text, flush=True)
        lines.append(start + text)
    if lines:
        path.write_text("\n".join(sorted(lines)) + "\n")
    else:
        path.unlink(missing_ok=True)


def measure(
    runner: Runner, training: np.ndarray, new: np.ndarray, standardise: bool
) -> dict[str, Any]:
    """Fit and impute: both imputed parts, seconds, and memory."""
    mean, std = np.zeros(training.shape[1]), np.ones(training.shape[1])
    if standardise:
        mean, std = np.nanmean(training, axis=0), np.nanstd(training, axis=0)
        std[std == 0] = 1.0
    training, new = (training - mean) / std, (new - mean) / std
    before = reset_highest_memory()
    start = time.process_time()
    imputed = runner.fit(training.copy())
    seconds_fit = time.process_time() - start
    start = time.process_time()
    imputed_new = runner.transform(new.copy())
    seconds_transform = time.process_time() - start
    if imputed is None:
        imputed = runner.transform(training.copy())
    # The kernel counts pages in batches for each thread: either number may be off by a few of them.
    memory = max(memory_mib("VmHWM") - before, 0.0)
    return {
        "training": imputed * std + mean,
        "new": imputed_new * std + mean,
        "seconds_fit": seconds_fit,
        "seconds_transform": seconds_transform,
        "memory_mib": memory,
    }


def reset_highest_memory() -> float:
    """Let the highest memory count from now on, and return what is held.

    That of ``getrusage`` cannot be reset, and counts what the parent held when it started this.
    """
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mib("VmRSS")


def memory_mib(entry: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{entry}:")[2].split()[0]) / 1024


def run(name: str, source: str, target: str) -> None:
    """Measure one peer, in the process that is its own."""
    # Some start as many threads as there are cores, whatever the environment says.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    peer = {peer.name: peer for peer in PEERS}[name]
    with np.load(source) as data:
        training, new, seed = data["training"], data["new"], int(data["seed"])
    np.savez(target, **measure(peer.make(seed), training, new, peer.standardise))


if __name__ == "__main__":
    _, flag, *arguments = sys.argv
    assert flag == "--run"
    run(*arguments)
