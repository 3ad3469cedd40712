"""A training step and an imputation against the same written in plain torch.

Variants of a step are timed in processes of their own, one after the other and several times
over, so that what else the machine does meets all of them; ratios are those of medians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.plain import PlainGNR, train
from benchmarks.protocols import PAPER_MODEL, find_data_dir, load
from benchmarks.records import RecordFile
from gnr_sklearn import GNRImputer
from gnr_sklearn._sampling import expectation
from gnr_sklearn._vae import MAX_GRADIENT_NORM
from gnr_sklearn.missingness import SelfMasking, ampute
from gnr_sklearn.nn.adaptive import map_samples
from gnr_sklearn.nn.bounds import normalized_weights, quasi_normal
from gnr_sklearn.nn.models import GNR
from gnr_sklearn.nn.rows import MaskedRows, RandomBatches
from gnr_sklearn.nn.training import NegativeBound, keep_freed_memory

BATCH_SIZE, N_ROWS, N_FEATURES, HIDDEN = 128, 4898, 11, 128
LATENT_DIM = N_FEATURES - 1
SAMPLES = (20, 5)
WARM_UP, STEPS, REPEATS = 40, 200, 3

VARIANTS = (
    "plain torch, float32",
    "bare loop, float32",
    "skorch net, float32",
    "skorch net, compiled, float32",
    "bare loop, bfloat16",
    "skorch net, bfloat16",
    "skorch net, compiled, bfloat16",
)
TABLES = ("wine_white", "concrete", "banknote")
OPERATIONS = ("mm", "addmm", "tanh", "sigmoid", "tanh_backward", "copy", "sum", "mul", "normal")
REFERENCE_SAMPLES = 100_000

# Of log-weights and what samples say.
Average = Callable[[Tensor, Tensor], Tensor]


def main(options: argparse.Namespace) -> None:
    """Run the parts that are wanted: step, profile, transform."""
    records = RecordFile("speed", options.results)
    parts = options.methods or ["step", "profile", "transform"]
    if "step" in parts:
        measure_steps(records, 1 if options.quick else REPEATS)
    if "profile" in parts:
        measure_profile(records)
    if "transform" in parts:
        for dataset in options.datasets or TABLES[: 1 if options.quick else None]:
            measure_transform(records, dataset, find_data_dir(options.data_dir), options.quick)


def processor() -> str:
    """Name the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def table() -> MaskedRows:
    """Draw normal numbers of the size of wine_white, with 30% missing."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand((N_ROWS, N_FEATURES), generator=generator) > 0.3).float()
    return MaskedRows(torch.randn((N_ROWS, N_FEATURES), generator=generator) * mask, mask)


def with_holes(rows: MaskedRows) -> np.ndarray:
    """Return rows as an imputer takes them."""
    return torch.where(rows.mask == 1, rows.x, torch.nan).double().numpy()


def measure_steps(records: RecordFile, repeats: int) -> None:
    """Time each variant in turn, and record milliseconds, ratios and the floor."""
    for n_samples in SAMPLES:
        times: dict[str, list[float]] = {}
        compiling: dict[str, float] = {}
        for repeat in range(repeats):
            # Compiling takes too long to be done more than once.
            for variant in [v for v in VARIANTS if repeat == 0 or "compiled" not in v]:
                command = [sys.executable, "-m", "benchmarks.speed", variant, str(n_samples)]
                measured = json.loads(
                    subprocess.run(command, check=True, capture_output=True).stdout
                )
                times.setdefault(variant, []).append(measured["milliseconds"])
                compiling[variant] = measured["seconds_to_compile"]
        medians = {variant: float(np.median(each)) for variant, each in times.items()}
        for precision in (torch.float32, torch.bfloat16):
            name = str(precision).removeprefix("torch.")
            medians[f"computed floor, {name}"] = floor(n_samples, precision)
        key = {"protocol": "-", "setting": f"K = {n_samples}, batch {BATCH_SIZE}, {processor()}"}
        key["dataset"] = f"{N_ROWS} x {N_FEATURES}"
        for variant, milliseconds in medians.items():
            ratio = medians["plain torch, float32"] / milliseconds
            print(f"K = {n_samples:2} {variant:32} {milliseconds:6.2f} ms {ratio:5.2f}", flush=True)
            values = {"step_ms": milliseconds, "step_speedup": ratio}
            if compiling.get(variant):
                values["compile_seconds"] = compiling[variant]
            records.replace(key | {"method": variant}, values)


def time_step(variant: str, n_samples: int) -> dict[str, float]:
    """Milliseconds of one training step, and what it took to compile it."""
    torch.set_num_threads(1)
    kind, *_, precision = variant.split(", ")
    rows = table()
    X = with_holes(rows)

    def run(n_steps: int) -> None:
        if kind == "plain torch":
            train(rows.x, rows.mask, LATENT_DIM, n_steps, n_samples)
        elif kind == "bare loop":
            bare_loop(rows, n_steps, n_samples, getattr(torch, precision))
        else:
            settings = PAPER_MODEL | {
                "max_iter": n_steps,
                "n_importance_samples": n_samples,
                "learning_rate_schedule": "constant",
                "early_stopping": False,
                "precision": precision,
                "net_params": {"compile": True} if "compiled" in variant else None,
            }
            GNRImputer(**settings, random_state=0).fit(X)

    seconds = []
    # What comes once - initialisation, compilation - is in both and drops out of the difference.
    for n_steps in (WARM_UP, WARM_UP, WARM_UP + STEPS):
        start = time.perf_counter()
        run(n_steps)
        seconds.append(time.perf_counter() - start)
    return {
        "milliseconds": 1e3 * (seconds[2] - seconds[1]) / STEPS,
        "seconds_to_compile": seconds[0] - seconds[1] if "compiled" in variant else 0.0,
    }


def measure_profile(records: RecordFile) -> None:
    """Record where the time of a step goes: shares of torch's operations, in percent."""
    torch.set_num_threads(1)
    rows, n_samples = table(), SAMPLES[0]
    runs: dict[str, Callable[..., Any]] = {
        "plain torch, float32": partial(train, rows.x, rows.mask, LATENT_DIM, n_samples=n_samples),
        "package, float32": partial(
            bare_loop, rows, n_samples=n_samples, precision=torch.float32
        ),
        "package, bfloat16": partial(
            bare_loop, rows, n_samples=n_samples, precision=torch.bfloat16
        ),
    }  # fmt: skip
    key = {"protocol": "-", "setting": f"K = {n_samples}", "metric": "profile_percent"}
    for name, run in runs.items():
        run(n_steps=WARM_UP)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            run(n_steps=WARM_UP)
        shares: dict[str, float] = dict.fromkeys([*OPERATIONS, "all else"], 0.0)
        events = profiled.key_averages()
        total = sum(event.self_cpu_time_total for event in events)
        for event in events:
            operation = event.key.removeprefix("aten::").rstrip("_")
            share = 100 * event.self_cpu_time_total / total
            shares[operation if operation in OPERATIONS else "all else"] += share
        for operation, share in shares.items():
            cell = key | {"dataset": name, "method": operation}
            records.add(cell, "", 0, round(share, 1), 0.0, None)
        print(name, {operation: round(share, 1) for operation, share in shares.items()})


def bare_loop(
    rows: MaskedRows, n_steps: int, n_samples: int, precision: torch.dtype, device: str = "cpu"
) -> None:
    """Do what the net does in a step, with nothing around it."""
    model, criterion = GNR(N_FEATURES, LATENT_DIM).to(device), NegativeBound()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    keep_freed_memory()
    rows = rows.to_training(device)
    for batch, _ in RandomBatches(rows, BATCH_SIZE, n_steps, n_steps, seed=0):
        optimizer.zero_grad()
        shape = (n_samples, BATCH_SIZE, LATENT_DIM)
        noise = torch.randn(shape, generator=generator, device=device)
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            loss = criterion(model(noise=noise, **batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        loss.item()


def floor(n_samples: int, precision: torch.dtype) -> float:
    """Milliseconds that the products of matrices and the tanh of a step need by themselves."""
    torch.set_num_threads(1)
    n = 20 * BATCH_SIZE
    left = torch.randn(n, HIDDEN).to(precision)
    right = torch.randn(HIDDEN, HIDDEN).to(precision)
    out = torch.empty(n, HIDDEN, dtype=precision)
    operations = 2 * n * HIDDEN * HIDDEN
    rate = operations / best_of(lambda: torch.mm(left, right, out=out))
    # By the sigmoid, where that is what is faster.
    tanh = min(
        best_of(lambda: torch.tanh(left, out=out)),
        best_of(lambda: torch.sigmoid(left, out=out).mul_(2.0).sub_(1.0)),
    ) / (n * HIDDEN)
    shapes = {
        "encoder": (BATCH_SIZE, N_FEATURES, 2 * LATENT_DIM),
        "data decoder": (BATCH_SIZE * n_samples, LATENT_DIM, N_FEATURES),
        "mask decoder": (BATCH_SIZE * n_samples, LATENT_DIM, N_FEATURES),
    }
    seconds = 0.0
    for rows, n_in, n_out in shapes.values():
        weights = n_in * HIDDEN + HIDDEN * HIDDEN + HIDDEN * n_out
        # One product forward, and two backward: for the inputs and for the weights.
        seconds += 3 * 2 * rows * weights / rate + 2 * rows * HIDDEN * tanh
    return 1e3 * seconds


def best_of(function: Callable[[], Any], repeats: int = 100) -> float:
    """Least seconds of a call."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return float(best)


def measure_transform(
    records: RecordFile, dataset: str, data_dir: Path | None, quick: bool
) -> None:
    """Monte Carlo error against very many samples, and seconds, of several ways to sample."""
    torch.set_num_threads(1)
    complete = load(dataset, data_dir)
    X = ampute(complete, SelfMasking(1.0), random_state=0)
    imputer = GNRImputer(**PAPER_MODEL, random_state=0).fit(X)
    rows = imputer._masked_rows(X[np.isnan(X).any(axis=1)], None)
    few, timed = (
        MaskedRows(rows.x[:n], rows.mask[:n]) for n in ((10, 50) if quick else (100, 500))
    )
    module, generator = imputer.net_.module_, torch.Generator().manual_seed(0)

    def random(n_samples: int) -> Callable[[int], list[Tensor]]:
        def draw(n_rows: int) -> list[Tensor]:
            return [torch.randn((n_samples, n_rows, imputer.latent_dim_), generator=generator)]

        return draw  # fmt: skip

    def shared(n_samples: int, round_size: int) -> Callable[[int], list[Tensor]]:
        noise = quasi_normal(n_samples, imputer.latent_dim_, next(seeds)).float().unsqueeze(1)
        rounds = list(noise.split(round_size))
        return lambda n_rows: rounds

    seeds = iter(range(10**6))
    # How each way draws, its samples in a round, and how it averages over all of them.
    ways: dict[str, tuple[Callable[[], Callable[[int], list[Tensor]]], int, Average]] = {
        "1000 random": (partial(random, 1000), 1000, plain_average),
        "1000 quasi-random": (partial(shared, 1000, 1000), 1000, plain_average),
        "256 quasi-random": (partial(shared, 256, 256), 256, plain_average),
    }
    for n_samples in (64, 80, 96, 128, 160, 320, 1280):
        # As the imputer splits so many.
        imputer.n_imputation_samples = n_samples
        round_size = imputer._round_size
        make = partial(shared, n_samples, round_size)
        ways[f"{n_samples} in rounds that adapt"] = make, round_size, expectation
    reference = impute(module, few, random(REFERENCE_SAMPLES), 1, imputer.alpha_, plain_average)
    missing = few.mask.numpy() == 0
    plain = plain_copy(module)
    start = time.perf_counter()
    plain.impute(timed.x, timed.mask, 1000)
    plain_ms = 1e3 * (time.perf_counter() - start) / len(timed)
    print(f"{dataset} plain torch, 1000 random: {plain_ms:.3f} ms a row")
    key = {"protocol": "field", "dataset": dataset, "setting": f"100%, {processor()}"}
    for way, (draw, round_size, average) in ways.items():
        size = max(1, 4096 // round_size // 16) * 16
        squares = []
        for _ in range(2 if quick else 10):
            imputed = impute(module, few, draw(), size, imputer.alpha_, average)
            squares.append(((imputed - reference)[missing] ** 2).mean())
        start = time.perf_counter()
        impute(module, timed, draw(), size, imputer.alpha_, average)
        milliseconds = 1e3 * (time.perf_counter() - start) / len(timed)
        start = time.perf_counter()
        plain.impute(few.x, few.mask, 1000)
        plain_again = 1e3 * (time.perf_counter() - start) / len(few)
        values = {
            "monte_carlo_error": float(np.sqrt(np.mean(squares))),
            "row_ms": milliseconds,
            "row_speedup": plain_again / milliseconds,
        }
        print(f"{dataset:10} {way:28}", {k: round(v, 4) for k, v in values.items()}, flush=True)
        records.replace(key | {"method": way}, values)


def impute(
    module: GNR,
    rows: MaskedRows,
    draw: Callable[[int], list[Tensor]],
    chunk_size: int,
    alpha: float,
    average: Average,
) -> np.ndarray:
    """Average over the samples of each row, in the units of the net."""
    imputed = np.empty(rows.x.shape)
    parts = map_samples(
        lambda samples, _: average(samples.log_w, samples.x_given_z.mean),
        module,
        rows,
        draw,
        alpha,
        chunk_size,
    )
    for chunk, part in parts:
        imputed[chunk] = part
    return imputed


def plain_average(log_w: Tensor, quantity: Tensor) -> Tensor:
    """Average by eq. 20 as it stands."""
    return (normalized_weights(log_w).unsqueeze(-1) * quantity).sum(0)


def plain_copy(module: GNR) -> PlainGNR:
    """Plain torch's module with the weights of a trained one."""
    n_features = module.encoder.network[0].weight.shape[1]  # type: ignore[index]
    plain = PlainGNR(n_features, module.latent_dim)  # type: ignore[arg-type]
    pairs = zip(plain.parameters(), plain_order(module), strict=True)
    with torch.no_grad():
        for target, source in pairs:
            target.copy_(source)
    return plain


def plain_order(module: GNR) -> list[Tensor]:
    """Parameters of a trained module in the order of ``PlainGNR``."""
    named = dict(module.named_parameters())
    scale = named.pop("data_decoder.raw_scale")
    return [scale, *named.values()]


if __name__ == "__main__":
    print(json.dumps(time_step(sys.argv[1], int(sys.argv[2]))))
