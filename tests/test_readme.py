"""The snippets of README.md run as they stand, one after the other."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_snippets():
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(snippets) == 11
    names: dict = {}
    for snippet in snippets:
        exec(snippet, names)
    assert not np.isnan(names["X_imputed"]).any()
    assert names["observed_proba"].shape == names["X"].shape
    assert names["draws"].shape == (5, *names["X"].shape)
    assert 0 < names["error"] < 2
    unrated = np.isnan(names["ratings"])
    mean, true_mean = (names[name][unrated].mean() for name in ("ratings_imputed", "liking"))
    assert abs(mean - true_mean) < 0.5 * abs(np.nanmean(names["ratings"]) - true_mean)
    assert names["search"].best_params_["alpha"] in (0.01, 0.1, 1)
