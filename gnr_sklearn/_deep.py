"""What imputers that train a torch module have in common, whatever the module."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from gnr_sklearn import __version__
from gnr_sklearn._base import BoundedImputer
from gnr_sklearn._epochs import EpochTasks
from gnr_sklearn._identity import identity_of
from gnr_sklearn._sklearn import Interval, StrOptions
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import draw_seed
from gnr_sklearn.nn.checkpoint import (
    TrainingCheckpoint,
    check_belongs,
    digest_of_rows,
    read_checkpoint,
)
from gnr_sklearn.nn.forks import use_one_thread_if_forked
from gnr_sklearn.nn.rows import MaskedRows, RandomBatches
from gnr_sklearn.nn.state import without_memory
from gnr_sklearn.nn.training import ProgressBar, StepwiseNet

__all__ = ["EARLY_STOPPING", "MAX_VALUE", "STEPS_PER_EPOCH", "DeepImputer", "masked_rows"]

STEPS_PER_EPOCH = 100

# What the factor of the learning rate does not decay below where rows go on to come.
MIN_LEARNING_RATE_FACTOR = 0.01

# Names of the imputers' own callbacks.
SCHEDULE = "learning_rate_schedule"
EARLY_STOPPING = "early_stopping"

# In the units that a net sees. Squared, summed and divided by the smallest noise, such values
# still fit into float32.
MAX_VALUE = 1e6


@dataclass(frozen=True)
class CosineSchedule:
    """Factor of the learning rate: linear warm-up, and decay along half a period of a cosine.

    Attributes
    ----------
    warmup_steps : int
        Steps of the warm-up; 0 for none.
    n_steps : int or None
        Steps after which it has decayed; None for no decay.
    least : float, default=0
        What it does not decay below.
    """

    warmup_steps: int
    n_steps: int | None
    least: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the factor for a step, counted from 0."""
        risen = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.n_steps is None:
            return risen
        fallen = 0.5 * (1.0 + math.cos(math.pi * min(step / self.n_steps, 1.0)))
        return risen * max(fallen, self.least)


@dataclass(kw_only=True, eq=False, repr=False)
class DeepImputer(BoundedImputer):
    """An imputer that trains a torch module by steps, through skorch.

    A subclass says which net to train, with which parameters, and calls :meth:`_make_net` and
    :meth:`_train`.
    """

    max_iter: int = 1000
    batch_size: int = 128
    learning_rate: float = 3e-3
    learning_rate_schedule: Literal["cosine", "constant"] = "cosine"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    callbacks: list[Any] | None = None
    checkpoint: str | PathLike[str] | None = None
    net_params: dict[str, Any] | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BoundedImputer._parameter_constraints,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions({"cosine", "constant"})],
        "device": [StrOptions({"cpu", "cuda", "auto"})],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "net_params": [dict, None],
    }

    _parameter_docs: ClassVar[str] = """
        batch_size : int, default=128
            Rows in one optimisation step.
        learning_rate : float, default={default}
            Initial learning rate of Adam.
        learning_rate_schedule : {"cosine", "constant"}, default="cosine"
            Whether the learning rate decays to 0 at `max_iter`, along half a period of a cosine,
            or stays constant. With decay, about half the steps suffice. An LRScheduler in
            `callbacks` replaces the schedule.
        device : {"cpu", "cuda", "auto"}, default="cpu"
            Where to train and impute; "auto" takes a GPU where there is one.
        callbacks : list of skorch callbacks or None, default=None
            Called during training; an epoch is 100 optimisation steps. As in skorch they are
            not copied, and hold what they have learned.
        checkpoint : str, path or None, default=None
            File to which the state of training is written every 100 steps, so that a fit that was
            killed can be resumed: on the same CPU with the same number of threads, the result
            is bit for bit that of an uninterrupted fit. Requires an int as `random_state`. A file
            serves one fit at a time, not a search; it is deleted when the fit completes. Reading it
            executes no code. Of the callbacks, skorch's EarlyStopping and LRScheduler resume;
            others start afresh.
        net_params : dict or None, default=None
            Further parameters of the skorch net, such as
            ``{"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.01}``. Parameters
            that the imputer sets itself cannot be given here.
        verbose : int, default=0
            Verbosity; 0 is silent, 1 shows a progress bar over the optimisation steps, and 2 or
            more also prints skorch's table of losses.
        """

    # Class of the skorch net; a subclass sets it.
    _net_class: ClassVar[type[StepwiseNet]]

    _attribute_docs: ClassVar[str] = """
        net_ : skorch.NeuralNet
            The trained net; ``net_.module_`` is the torch module.
        n_iter_ : int
            Optimisation steps taken.
        history_ : skorch.history.History
            Losses of each epoch and step; after `partial_fit`, of each epoch, and of the steps of
            the last call.
        """

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # Without what skorch's callbacks have seen of training, optimisers among it, as in the net.
        return {**state, "callbacks": without_memory(state["callbacks"])}

    def _learn(self, X: ArrayLike, fit: Callable[[FloatArray], None]) -> Self:
        self._check_checkpoint()
        super()._learn(X, fit)
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        return self

    def _check_checkpoint(self) -> None:
        """Refuse a file that cannot be written, or that is of another fit, before any work."""
        if self.checkpoint is None:
            return
        path = Path(self.checkpoint)
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "random_state must be an int for a fit with a checkpoint, which has to draw the "
                f"same numbers again, got {self.random_state!r}."
            )
        if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)) or path.is_dir():
            raise ValueError(
                "checkpoint must name a file in a folder that can be written to, got "
                f"{str(path)!r}."
            )
        identity, found = self._fit_identity(), read_checkpoint(path)
        if found is not None:
            check_belongs(found[0]["belongs_to"], identity, path)

    def _fit_identity(self) -> dict[str, str]:
        """Tell this fit from others, but for its data."""
        params = self.get_params(deep=False)
        without = ("checkpoint", "callbacks", "verbose")
        settings = {
            name: identity_of(value, name)
            for name, value in sorted(params.items())
            if name not in without
        }
        return {
            "version of gnr_sklearn": __version__,
            "settings": repr((type(self).__name__, settings)),
        }

    def _make_net(
        self, params: dict[str, Any], order_seed: int, callbacks: list[Any]
    ) -> StepwiseNet:
        """Make a net that is ready to be trained.

        Parameters
        ----------
        params : dict
            Parameters of the net beyond those that are the same for all.
        order_seed : int
            Seed of the order of rows.
        callbacks : list of skorch callbacks
            Those of the imputer, called after the user's.
        """
        self._n_parts = 0
        bar = [("progress_bar", ProgressBar(type(self).__name__))]
        settings: dict[str, Any] = {
            "optimizer": torch.optim.Adam,
            "lr": self.learning_rate,
            "max_epochs": self._n_fit_tasks,
            "batch_size": self.batch_size,
            "iterator_train": RandomBatches,
            "iterator_train__n_steps": self.max_iter,
            "iterator_train__steps_per_epoch": STEPS_PER_EPOCH,
            "iterator_train__seed": order_seed,
            "train_split": None,
            "callbacks": [
                *self._user_callbacks(),
                *self._schedule(),
                *callbacks,
                *(bar if self.verbose else []),
            ],
            "device": self._choose_device(),
            # One is for the progress bar; more prints skorch's table of losses as well.
            "verbose": max(0, self.verbose - 1),
        } | params
        net_params = self.net_params or {}
        if not all(isinstance(name, str) for name in net_params):
            raise ValueError(
                f"net_params must have names of parameters as its keys, got {list(net_params)}."
            )
        optimizer = net_params.get("optimizer", torch.optim.Adam)
        others = {"optimizer__foreach", "optimizer__differentiable"} & set(net_params)
        if optimizer in (torch.optim.Adam, torch.optim.AdamW) and not others:
            settings["optimizer__fused"] = True
        owned = {name.partition("__")[0] for name in settings} - {"optimizer"}
        owned_of_optimizer = {"optimizer__lr", "optimizer__param_groups"}
        for name in net_params:
            is_owned = name.partition("__")[0] in owned and not name.startswith("callbacks__")
            if is_owned or name in owned_of_optimizer:
                raise ValueError(
                    f"net_params must not hold {name!r}, which {type(self).__name__} sets itself."
                )
        try:
            net = self._net_class(**settings | net_params).initialize()
            _check_names_of_callbacks(net, net_params)
            return net
        except (AttributeError, TypeError, ValueError) as error:
            if not net_params:
                raise
            raise ValueError(
                f"net_params must hold parameters of a skorch net, got {net_params!r} ({error})."
            ) from error

    def _train(self, net: StepwiseNet, rows: MaskedRows) -> None:
        """Train a net for `max_iter` steps and keep it."""
        callbacks = list(net.callbacks_)
        if getattr(self, "_skl_callbacks", None):
            EpochTasks(self, self._callback_fit_ctx, _trained_attributes).insert_into(net)
        if self.checkpoint is not None:
            identity = self._fit_identity() | {"data": digest_of_rows(rows)}
            checkpoint = TrainingCheckpoint(Path(self.checkpoint), identity)
            net.callbacks_.append(("checkpoint", checkpoint))
        # Not fit, which would initialise once more.
        net.partial_fit(rows)
        # Without those that are about this fit, and hold the imputer.
        net.callbacks_ = callbacks
        self.net_ = net
        self.n_iter_ = net.n_steps
        self.history_ = net.history

    def _learn_part(self, X: ArrayLike, fit_part: Callable[[FloatArray], None]) -> Self:
        if self.checkpoint is not None:
            raise ValueError(
                "checkpoint must be None in partial_fit, between whose calls an imputer can be "
                f"saved as a whole, got {str(self.checkpoint)!r}."
            )
        return super()._learn_part(X, fit_part)

    def _net_to_go_on(self) -> StepwiseNet | None:
        """Copy the net, so that the one there is stays what it is if training fails."""
        if not hasattr(self, "net_"):
            return None
        theirs = {id(callback): callback for callback in map(_callback_of, self.callbacks or [])}
        net = copy.deepcopy(self.net_, theirs)
        # Some of the user's were copied all the same, for in a pickle they forget their training.
        named = {name: own for name, own in self.net_.callbacks_ if id(own) in theirs}
        net.callbacks[:] = [
            own if id(_callback_of(own)) in theirs else copied
            for copied, own in zip(net.callbacks, self.net_.callbacks, strict=True)
        ]
        net.callbacks_[:] = [(name, named.get(name, copied)) for name, copied in net.callbacks_]
        # That of a fit before; now no rows are held out.
        for callbacks in (net.callbacks, net.callbacks_):
            callbacks[:] = [
                item
                for item in callbacks
                if id(_callback_of(item)) in theirs
                or not (isinstance(item, tuple) and item[0] == EARLY_STOPPING)
            ]
        return net

    def _train_part(self, net: StepwiseNet, rows: MaskedRows) -> int:
        """Train a net for one pass over rows, after those it has been trained on, and keep it.

        Returns a seed for what else is learned from them.
        """
        self._n_parts += 1
        taken = getattr(self, "n_iter_", 0)
        batch_size = net.get_params()["batch_size"]
        n_steps = -(-len(rows) // batch_size)
        order_seed, noise_seed, other_seed = self._draw_seeds(3, part=self._n_parts)
        net.set_params(max_epochs=-(-n_steps // STEPS_PER_EPOCH), seed=noise_seed, train_split=None)
        # skorch's set_params refuses parameters of iterators once a net is initialised.
        net.iterator_train__n_steps, net.iterator_train__seed = n_steps, order_seed
        schedule: Any = dict(net.callbacks_).get(SCHEDULE)
        if isinstance(getattr(schedule, "lr_lambda", None), CosineSchedule):
            schedule.lr_lambda = replace(schedule.lr_lambda, least=MIN_LEARNING_RATE_FACTOR)
            # Otherwise skorch counts on from the number of epochs.
            schedule.last_epoch = taken - 1
        # Of earlier parts averages are kept: the batches of all would be ever more.
        for epoch in net.history:
            epoch["batches"] = []
        net.partial_fit(rows)
        self.net_ = net
        self.n_iter_ = taken + net.n_steps
        self.history_ = net.history
        return other_seed

    @property
    def _n_fit_tasks(self) -> int:
        return -(-self.max_iter // STEPS_PER_EPOCH)

    def _user_callbacks(self) -> list[Any]:
        callbacks = list(self.callbacks or [])
        for item in callbacks:
            callback = _callback_of(item)
            if not isinstance(callback, Callback) and not (
                isinstance(callback, type) and issubclass(callback, Callback)
            ):
                raise ValueError(
                    "callbacks must be a list of skorch callbacks or of (name, callback) pairs, "
                    f"got {item!r} in it."
                )
        return callbacks

    def _user_has(self, kind: type[Callback]) -> bool:
        """Tell whether the user's callbacks have one of a kind, which replaces that of here."""
        return any(
            issubclass(callback if isinstance(callback, type) else type(callback), kind)
            for callback in map(_callback_of, self.callbacks or [])
        )

    def _schedule(self) -> list[Any]:
        falls = self.learning_rate_schedule == "cosine"
        if self._user_has(LRScheduler) or not (falls or self._warmup_steps):
            return []
        schedule = CosineSchedule(self._warmup_steps, self.max_iter if falls else None)
        return [(SCHEDULE, LRScheduler(LambdaLR, lr_lambda=schedule, step_every="batch"))]

    @property
    def _warmup_steps(self) -> int:
        """Number of steps of the warm-up; 0 for none."""
        return 0

    def _choose_device(self) -> str:
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device must be 'cpu' or 'auto' where torch finds no GPU, got 'cuda'.")
        return self.device

    def _draw_seeds(self, n_seeds: int, part: int = 0) -> list[int]:
        """Draw seeds of streams of random numbers, one for each purpose.

        They are others for each part of the data that is learned from, counted from 1.
        """
        key = (part,) if part else ()
        sequence = np.random.SeedSequence(draw_seed(self.random_state), spawn_key=key)
        return list(map(int, sequence.generate_state(n_seeds)))

    def _values_of(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        return self._modelled_values(self._validate_data(X, reset=False))

    @property
    def _module(self) -> Any:
        # Compiled, it would be compiled anew for the shapes of imputation.
        return getattr(self.net_.module_, "_orig_mod", self.net_.module_)

    @property
    def _device(self) -> str:
        # Asked of the net, which moves when a GPU's imputer is loaded where there is none.
        return str(self.net_.device)


def _check_names_of_callbacks(net: StepwiseNet, net_params: dict[str, Any]) -> None:
    """Refuse names of callbacks that there are not, of which skorch says nothing."""
    known = {name for name, _ in [*net.callbacks_, *net.get_default_callbacks()]}
    # Those that are switched off as well.
    for item in net.callbacks:
        callback = _callback_of(item)
        own_name = (callback if isinstance(callback, type) else type(callback)).__name__
        known.add(own_name if callback is item else item[0])
    for name in net_params:
        kind, _, callback_name = name.partition("__")
        if kind == "callbacks" and callback_name.partition("__")[0] not in known:
            raise ValueError(f"no callback of {name!r}; there are {', '.join(sorted(known))}")


def _trained_attributes(net: StepwiseNet) -> dict[str, Any]:
    return {"net_": net, "n_iter_": net.n_steps, "history_": net.history}


def _callback_of(item: Any) -> Any:
    """Take the callback itself from what may be a pair of name and callback."""
    return item[1] if isinstance(item, tuple) and len(item) == 2 else item


def masked_rows(scaled: FloatArray, observed: BoolArray, u: FloatArray | None = None) -> MaskedRows:
    """Turn values in the units of a net into its rows, with 0 for NaN; they are overwritten."""
    use_one_thread_if_forked()
    x = np.nan_to_num(np.clip(scaled, -MAX_VALUE, MAX_VALUE, out=scaled), copy=False)
    tables = [x, observed]
    if u is not None:
        tables.append(np.clip(u, -MAX_VALUE, MAX_VALUE))
    return MaskedRows(*(torch.from_numpy(table.astype(np.float32)) for table in tables))
