"""Records of what was measured: one JSON file for each benchmark, written cell by cell."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"

KEY = ("benchmark", "protocol", "dataset", "setting", "method", "metric")
Record = dict[str, Any]


class RecordFile:
    """The records of one benchmark; every change is on disk when the call returns."""

    def __init__(self, benchmark: str, folder: Path = RESULTS) -> None:
        self.benchmark = benchmark
        self.path = folder / f"{benchmark}.json"
        self.records: list[Record] = json.loads(self.path.read_text()) if self.path.exists() else []

    def find(self, **key: str) -> Record | None:
        wanted = {"benchmark": self.benchmark, **key}
        for record in self.records:
            if all(record[name] == wanted[name] for name in KEY):
                return record
        return None

    def add(
        self, key: dict[str, str], params: str, seed: int, value: float, seconds: float,
        paper: float | None,
    ) -> None:  # fmt: skip
        """Add one run to a cell; a cell whose parameters changed starts anew."""
        record = self.find(**key)
        if record is not None and record["params"] != params:
            self.records.remove(record)
            record = None
        if record is None:
            record = {"benchmark": self.benchmark, **key, "params": params, "runs": {}}
            self.records.append(record)
        record["runs"][str(seed)] = {"value": value, "seconds": seconds}
        values = np.array([run["value"] for run in record["runs"].values()])
        record |= {
            "mean": round(float(values.mean()), 4),
            "std": round(float(values.std()), 4),
            "n_runs": len(values),
            "seconds": round(
                float(np.mean([run["seconds"] for run in record["runs"].values()])), 2
            ),
            "paper": paper,
        }
        self._write()

    def discard(self, key: dict[str, str]) -> None:
        """Forget a cell, in all its metrics, so that it starts anew."""
        names = [name for name in KEY[1:] if name != "metric"]
        self.records = [r for r in self.records if any(r[n] != key[n] for n in names)]
        self._write()

    def replace(
        self,
        key: dict[str, str],
        values: Mapping[str, float],
        params: str = "",
        seconds: float = 0.0,
    ) -> None:
        """Put what was measured once in place of what a cell had."""
        self.discard(key)
        for metric, value in values.items():
            self.add(key | {"metric": metric}, params, 0, round(float(value), 4), seconds, None)

    def has(self, key: dict[str, str], params: str, seed: int) -> bool:
        record = self.find(**key)
        return record is not None and record["params"] == params and str(seed) in record["runs"]

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.records.sort(key=lambda record: [record[name] for name in KEY])
        # Replaced in one go, so that a run that is cut off leaves whole records behind.
        with tempfile.NamedTemporaryFile(
            "w", dir=self.path.parent, suffix=".part", delete=False
        ) as part:
            json.dump(self.records, part, indent=1)
            part.write("\n")
        os.replace(part.name, self.path)
