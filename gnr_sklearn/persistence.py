"""Imputers on disk, in files that run no code when they are read.

Pickle and joblib work too, and run whatever a file says: they are for files of one's own. A file
of skops lists the types of what is in it, and is only read if each of them is trusted.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PosixPath, WindowsPath
from typing import Any

__all__ = ["TRUSTED_TYPES", "dump", "load"]

_OURS = (
    "_als.Factors", "_als.LeastSquares", "_auxiliary.AuxiliaryVariable",
    "_chained.CalibratedRegression", "_chained.ChainedRegressions",
    "_columns.Column", "_columns.Columns", "_curves.Curves",
    "_deep.CosineSchedule", "_discrete.DiscreteFeatures", "_propensities.LogisticPropensity",
    "_propensities.MarginalPropensity", "_propensities.NaiveBayesPropensity",
    "_reservoir.Reservoir", "_units.Units",
    "classical.MICEImputer", "classical.MeanImputer", "classical.MissForestImputer",
    "factorization.MFImputer", "gan.GAINImputer", "gnr.GNRImputer", "metrics._MaskedCellScorer",
    "missingness.Compose", "missingness.Logistic", "missingness.MAR", "missingness.MCAR",
    "missingness.SelfMasking", "missingness.TailMasking", "nn.adversarial.AdversarialNet",
    "nn.adversarial.Discriminator", "nn.adversarial.Generator", "nn.adversarial.GeneratorLoss",
    "nn.categories.DiscreteFeature", "nn.models.GNR", "nn.models.MIWAE", "nn.selection.NotMIWAE",
    "nn.selection.PSMVAE", "nn.models.ValueGNR", "nn.parallel.Shard",
    "nn.rows.HoldOut", "nn.training.ImputationNet", "nn.training.NegativeBound",
    "nn.training.ProgressBar", "nn.rows.RandomBatches", "nn.training.RatingNoise",
    "nn.rows.SequentialBatches", "vae.MIWAEImputer",
    "vae.NotMIWAEImputer", "vae.PSMVAEImputer",
)  # fmt: skip

_OF_OTHERS = (
    # What early stopping would tell of itself by, if it did.
    "builtins.print",
    "numpy.dtype",
    # The name of a checkpoint.
    *(f"{path.__module__}.{path.__name__}" for path in (PosixPath, WindowsPath)),
    "sklearn.impute._iterative.IterativeImputer",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    # skops leaves it out because an altered tree might crash the process.
    "sklearn.tree._tree.Tree",
    "skorch.callbacks.lr_scheduler.LRScheduler",
    "skorch.callbacks.regularization.GradientNormClipping",
    "skorch.callbacks.training.EarlyStopping",
    "skorch.dataset.Dataset",
    "skorch.history.History",
    "torch.optim.adam.Adam",
    "torch.optim.adamw.AdamW",
    "torch.optim.lr_scheduler.LambdaLR",
    "torch.utils.data.dataloader.DataLoader",
)

# What zipfile, json and skops may say of a file that is not what dump has written, or of objects
# that it cannot read back.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    LookupError,
    # An encrypted file, and a way of compression that is not known.
    RuntimeError,
    TypeError,
    ValueError,
)

#: What the files of imputers hold beside what skops trusts anyway: numbers, text, and estimators
#: of scikit-learn. None of it runs anything that a file says.
TRUSTED_TYPES: tuple[str, ...] = (*(f"gnr_sklearn.{name}" for name in _OURS), *_OF_OTHERS)


def dump(estimator: Any, file: str | PathLike[str]) -> None:
    """Write an imputer, or a pipeline or a search with one in it, to a file of skops.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.
    file : str or path
        Where to; a file that is there is overwritten.

    Raises
    ------
    TypeError
        If the estimator holds what skops could not read back, such as pandas.NA, a Series, or
        categories that are intervals or dates.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from gnr_sklearn import MeanImputer
    >>> from gnr_sklearn.persistence import dump, load
    >>> imputer = MeanImputer().fit([[1.0, 2.0], [3.0, np.nan]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dump(imputer, os.path.join(folder, "imputer.skops"))
    ...     load(os.path.join(folder, "imputer.skops")).transform([[np.nan, np.nan]])
    array([[2., 2.]])
    """
    skops = _skops()
    try:
        written = skops.dumps(estimator)
        skops.loads(written, trusted=skops.get_untrusted_types(data=written))
    except _DAMAGED as error:
        raise TypeError(
            f"estimator must hold nothing that cannot be read back ({error}); take NaN for "
            "missing_values, text or numbers for categories, and arrays or dicts for what is said "
            "of features, or use joblib."
        ) from error
    Path(file).write_bytes(written)


def load(file: str | PathLike[str], trusted: Sequence[str] = ()) -> Any:
    """Read what :func:`~gnr_sklearn.persistence.dump` wrote, running nothing that the file says.

    Parameters
    ----------
    file : str or path
        The file.
    trusted : sequence of str, default=()
        Further types that are trusted, such as those of callbacks of one's own, beside
        :data:`TRUSTED_TYPES`.

    Returns
    -------
    estimator : estimator
        As it was written. One by another version of this package warns.

    Raises
    ------
    ValueError
        If it is no file of skops, or is damaged.
    TypeError
        If it holds types that are not trusted; it names them. Or if ``trusted`` is one name.
    """
    if isinstance(trusted, str):
        raise TypeError(f"trusted must be a sequence of names of types, got {trusted!r}.")
    skops = _skops()
    # Once, so that what is looked at is what is read.
    written = Path(file).read_bytes()
    try:
        present = set(skops.get_untrusted_types(data=written))
        unknown = present - {*TRUSTED_TYPES, *trusted}
        if not unknown:
            return skops.loads(written, trusted=sorted(present))
    except _DAMAGED as error:
        raise ValueError(
            f"file must be one that gnr_sklearn.persistence.dump has written, and {str(file)!r} "
            f"cannot be read as one ({error})."
        ) from error
    raise TypeError(
        f"file must hold types that are trusted only, and {str(file)!r} holds "
        f"{', '.join(sorted(unknown))}; name them in trusted if you know that they are safe."
    )


def _skops() -> Any:
    try:
        from skops import io
    except ImportError as error:
        raise ImportError(
            "gnr_sklearn.persistence needs skops: pip install gnr-sklearn[persist]"
        ) from error
    return io
