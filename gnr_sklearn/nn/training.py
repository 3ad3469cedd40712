"""Training by skorch: the nets, their loss and their progress bar."""

from __future__ import annotations

import dis
import math
from typing import Any, NoReturn

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from skorch.utils import get_map_location, to_tensor
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from gnr_sklearn.nn.bounds import importance_weighted_bound, log_weights
from gnr_sklearn.nn.forks import use_one_thread_if_forked
from gnr_sklearn.nn.graphs import GraphedStep
from gnr_sklearn.nn.models import Terms
from gnr_sklearn.nn.parallel import Shard, average
from gnr_sklearn.nn.rows import Batch, MaskedRows
from gnr_sklearn.nn.state import describe_weights, restore_weights, without_memory

__all__ = [
    "ImputationNet",
    "NegativeBound",
    "ProgressBar",
    "RatingNoise",
    "StepwiseNet",
    "keep_freed_memory",
]


class NegativeBound(nn.Module):
    """The loss: minus the importance-weighted bound, averaged over rows (eq. 19).

    Parameters
    ----------
    alpha : float
        Weight of the mask term (eq. 18).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, terms: Terms) -> Tensor:
        """Return minus the mean bound of a batch."""
        return -importance_weighted_bound(log_weights(terms, self.alpha)).mean()


class ProgressBar(Callback):
    """One bar over all optimisation steps, with what the net tells of the last epoch beside it.

    Parameters
    ----------
    label : str
        Text in front of the bar.
    """

    def __init__(self, label: str) -> None:
        self.label = label

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Open the bar."""
        n_steps = net.get_params_for("iterator_train")["n_steps"]
        self.bar_ = tqdm(total=n_steps, desc=self.label, unit="step")

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Count a step."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: StepwiseNet, **kwargs: Any) -> None:
        """Show how training is getting on."""
        shown = {name: f"{value:.3f}" for name, value in net.progress().items()}
        self.bar_.set_postfix(shown, refresh=False)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bar, if it is open, and let go of its stream, which cannot be pickled."""
        if (bar := self.__dict__.pop("bar_", None)) is not None:
            bar.close()


def _is_from_raise_statement(error: BaseException) -> bool:
    """Tell a callback that ends training from a Ctrl-C while a callback runs.

    The latter arrives at whatever instruction is being executed.
    """
    traceback = error.__traceback__
    assert traceback is not None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code.co_code
    return dis.opname[code[traceback.tb_lasti]] == "RAISE_VARARGS"


def keep_freed_memory() -> None:
    """Make the allocator keep what is freed, where it is glibc's.

    A training step frees and allocates the same few megabytes again and again. By default
    glibc returns them to the system each time, and getting them back costs a sixth of a step. It
    stops doing so once it has seen a block that is almost as large as it adapts to, 32 MiB.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8, device="cpu")


def _normal(
    shape: tuple[int, int, int], like: Tensor, generator: torch.Generator, shard: Shard | None
) -> Tensor:
    """Draw noise of (samples, rows, numbers); with others, of all rows, and return that of own."""
    shard = shard or Shard()
    n_samples, n_rows, n_numbers = shape
    whole = (n_samples, n_rows * shard.count, n_numbers)
    noise = torch.randn(whole, generator=generator, dtype=like.dtype, device=like.device)
    return shard.of(noise, dim=1)


class _Interrupted(BaseException):
    """Carries a Ctrl-C past skorch, which ends training quietly on KeyboardInterrupt."""


class StepwiseNet(NeuralNet):
    """skorch's net for training that counts steps and has no targets.

    Data are given to ``partial_fit`` as :class:`MaskedRows`.

    Parameters
    ----------
    module : type or torch.nn.Module
        What is trained.
    seed : int
        Seed of the noise; while training, ``rng_`` is its source.
    **params
        What :class:`skorch.NeuralNet` takes.

    Raises
    ------
    ValueError
        From ``partial_fit``, when a loss or a parameter is no longer finite.
    KeyboardInterrupt
        From ``partial_fit``, on Ctrl-C. Where a callback raises it, which is how skorch's
        callbacks ask for an end, training ends quietly instead.
    """

    def __init__(
        self, module: type[nn.Module] | nn.Module, *, seed: int = 0, **params: Any
    ) -> None:
        self.seed = seed
        super().__init__(module, **params)

    def initialize(self) -> StepwiseNet:
        """Make all parts."""
        use_one_thread_if_forked()
        return super().initialize()

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> StepwiseNet:
        """Make the optimizer."""
        super().initialize_optimizer(*args, **kwargs)
        if isinstance(self.optimizer_, torch.optim.LBFGS):
            raise ValueError(
                "optimizer must learn from one batch at a time, and keep of each parameter what "
                "can be saved, which LBFGS does not."
            )
        return self

    def __getstate__(self) -> dict[str, Any]:
        # As arrays and plain values, so that what reads them need not run what is written: skorch
        # would write a pickle. Callbacks of skorch forget a training that is over.
        state = dict(vars(self))
        state["callbacks"] = without_memory(state["callbacks"])
        if self.initialized_:
            state["optimizers_"], state["arrays_"] = describe_weights(self)
            state.pop("virtual_params_", None)
        parts = [*self._modules, *self._criteria, *self._optimizers, "callbacks"]
        # Besides, what belongs to a training that is under way.
        for name in [*parts, "batches", "graphed_step", "last_terms", "rng"]:
            state.pop(f"{name}_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        groups, arrays = state.pop("optimizers_", None), state.pop("arrays_", None)
        # On a CPU where there is no GPU.
        state["device"] = self._check_device(state["device"], get_map_location(state["device"]))
        self.__dict__.update(state)
        if arrays is None:
            return
        history: Any = state["history_"]
        self.history_, self.initialized_ = None, False
        self.initialize()
        restore_weights(self, groups, arrays)
        self.history_ = history
        self._set_training(False)

    def noise_generator(self, offset: int = 0) -> torch.Generator:
        """Make a source of noise, the same for the same offset."""
        return torch.Generator(device=self.device).manual_seed(self.seed + offset)

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start the stream of training noise."""
        super().on_train_begin(net, **kwargs)
        self.rng_ = self.noise_generator()

    def on_batch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Refuse to go on from a loss that is not finite."""
        super().on_batch_end(net, *args, **kwargs)
        loss = kwargs["loss"].item()
        if not math.isfinite(loss):
            self._raise_diverged(f"loss became {loss}")

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Leave the module ready for use, and the net for pickling."""
        super().on_train_end(net, **kwargs)
        self._zero_grad_optimizer()
        self._set_training(False)
        del self.rng_
        # There are none where training ended before its first step, or after an epoch.
        for name in ("batches_", "last_terms_"):
            self.__dict__.pop(name, None)

    def get_iterator(self, dataset: MaskedRows, training: bool = False) -> Any:
        """Return batches, which go on where a training that is taken up was."""
        batches = super().get_iterator(dataset.to_training(self.device), training=training)
        if training:
            if state := self.__dict__.pop("batches_state_", None):
                batches.load_state_dict(state)
            self.batches_ = batches
        return batches

    def progress(self) -> dict[str, float]:
        """Return what to show of the last epoch: numbers by their names."""
        last = self.history[-1]
        return {"loss": last["valid_loss" if "valid_loss" in last else "train_loss"]}

    def _raise_diverged(self, what: str) -> NoReturn:
        raise ValueError(
            f"The training {what} at step {self.n_steps}. Lower learning_rate, scale "
            "the data, or limit the gradient with skorch's GradientNormClipping in callbacks."
        )

    @property
    def n_steps(self) -> int:
        """Optimisation steps taken so far."""
        return sum("train_loss" in b for epoch in self.history for b in epoch["batches"])

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks, and note whether one of them ends training."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as error:
            self.stopped_by_callback_ = _is_from_raise_statement(error)
            raise

    def fit_loop(self, *args: Any, **kwargs: Any) -> StepwiseNet:
        """Train, and tell a Ctrl-C from a callback that ends training."""
        self.stopped_by_callback_ = False
        if "batches_state_" in self.__dict__:
            kwargs["epochs"] = self.max_epochs - len(self.history)
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt:
            if self.stopped_by_callback_:
                raise
            raise _Interrupted from None

    def partial_fit(
        self, X: MaskedRows, y: None = None, classes: None = None, **fit_params: Any
    ) -> StepwiseNet:
        """Train, and raise on Ctrl-C instead of ending quietly."""
        keep_freed_memory()
        try:
            super().partial_fit(X, y, classes, **fit_params)
        except _Interrupted:
            raise KeyboardInterrupt from None
        finally:
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.close()
        # The loss of the last step tells nothing of the parameters that the step led to.
        if not all(p.isfinite().all() for _, p in self.get_all_learnable_params()):
            self._raise_diverged("parameters became infinite or NaN")
        return self


class RatingNoise:
    r"""Noise on observed ratings, which are points t on a curve from 0 to 1.

    A point becomes :math:`\epsilon + (1 - \epsilon) t` (eq. 21).

    Parameters
    ----------
    scale : float
        Standard deviation of :math:`\epsilon`.
    highest : float
        What stands for 1 in the units of the net.
    """

    def __init__(self, scale: float, highest: float) -> None:
        self.scale = scale
        self.highest = highest

    def __call__(self, x: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """Return a noisy copy of rows with zeros at their missing values, from normal noise."""
        return x + mask * self.scale * noise * (self.highest - x)


class ImputationNet(StepwiseNet):
    """skorch's net for models whose forward returns :class:`Terms`.

    The module is called with the rows, their mask and noise, and the criterion with the
    terms it returns.

    Parameters
    ----------
    module : type or torch.nn.Module
        The model; its attribute ``noise_dim`` says how many random numbers a sample takes.
    criterion : type
        Maps terms to the loss.
    n_importance_samples : int
        Samples of z for each row, K in eq. 15.
    precision : {"float32", "bfloat16"}
        What the decoders compute with.
    value_noise : RatingNoise or None, default=None
        Noise on the rows that are trained on; None for none.
    shard : Shard or None, default=None
        The part of each batch that is trained on here, while other processes of torch's default
        group train on the others, and all take the mean of their gradients. Up to rounding they do
        together what one does without them. None for none.
    cuda_graph : bool, default=True
        Whether a GPU repeats the kernels of a step as a graph (:class:`GraphedStep`), unless there
        are other processes or the module is compiled. Hooks of the module and its parameters are
        then not called, and each step overwrites the terms that the last one gave to callbacks.
    **params
        What :class:`StepwiseNet` takes.
    """

    def __init__(
        self,
        module: type[nn.Module] | nn.Module,
        *,
        criterion: type[nn.Module] = NegativeBound,
        n_importance_samples: int = 20,
        precision: str = "float32",
        value_noise: RatingNoise | None = None,
        shard: Shard | None = None,
        cuda_graph: bool = True,
        **params: Any,
    ) -> None:
        self.shard = shard
        self.cuda_graph = cuda_graph
        self.n_importance_samples = n_importance_samples
        self.value_noise = value_noise
        self.precision = precision
        super().__init__(module, criterion=criterion, **params)

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Terms:
        """Call the module on rows and fresh noise."""
        return self._terms(self._inputs(x), **fit_params)

    def _inputs(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the module is called with."""
        rows = to_tensor(x, device=self.device)
        # Held-out rows meet the same noise every time, so that their bound changes only
        # because the model does.
        training = self.module_.training
        generator = self.rng_ if training else self.noise_generator(offset=1)
        shard = self.shard if training else None
        n_rows, n_features = rows["x"].shape
        of_samples = (self.n_importance_samples, n_rows, self.module_.noise_dim)
        noise = _normal(of_samples, rows["x"], generator, shard)
        if training and self.value_noise is not None:
            of_values = _normal((1, n_rows, n_features), rows["x"], generator, shard)[0]
            rows["x"] = self.value_noise(rows["x"], rows["mask"], of_values)
        return rows | {"noise": noise}

    def _terms(self, inputs: dict[str, Tensor], **fit_params: Any) -> Terms:
        lower = self.precision == "bfloat16"
        with torch.autocast(inputs["x"].device.type, dtype=torch.bfloat16, enabled=lower):
            alone = self.shard is None or not self.module_.training
            module = self.module_ if alone else self.parallel_
            return module(**inputs, **fit_params)

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Make what exchanges gradients, if there are others to train with, or repeats steps."""
        super().on_train_begin(net, **kwargs)
        if self.shard is not None:
            # Not as an attribute of the usual kind, which skorch takes for another module.
            self.__dict__["parallel_"] = DistributedDataParallel(self.module_)
        elif self._can_repeat:
            parameters = [parameter for _, parameter in self.get_all_learnable_params()]
            self.graphed_step_ = GraphedStep(self._loss_and_terms, parameters)

    def partial_fit(self, *args: Any, **kwargs: Any) -> ImputationNet:
        """Train, and leave the module alone afterwards, also where training fails."""
        try:
            return super().partial_fit(*args, **kwargs)
        finally:
            for name in ("parallel_", "graphed_step_"):
                self.__dict__.pop(name, None)

    @property
    def _can_repeat(self) -> bool:
        on_gpu = torch.device(self.device).type == "cuda"
        # Looking for anomalies waits for the GPU after each operation.
        waits = torch.is_anomaly_enabled()
        return on_gpu and self.cuda_graph and not self.compile and not waits

    def _loss_and_terms(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Terms]:
        terms = self._terms(inputs)
        return self.get_loss(terms, None, training=True), terms

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of a batch and its gradients."""
        if "graphed_step_" not in self.__dict__:
            return super().train_step_single(batch, **fit_params)
        self._set_training(True)
        settings = self.precision, getattr(self.criterion_, "alpha", None)
        inputs = self._inputs(unpack_data(batch)[0])
        loss, self.last_terms_ = self.graphed_step_(inputs, settings)
        return {"loss": loss, "y_pred": self.last_terms_}

    def get_iterator(self, dataset: MaskedRows, training: bool = False) -> Any:
        """Return batches, or parts of them."""
        batches = super().get_iterator(dataset, training=training)
        return batches.share(self.shard) if training and self.shard is not None else batches

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take a step, whose loss is that of the whole batch."""
        step = super().train_step(batch, **fit_params)
        if self.shard is not None:
            step["loss"] = average(step["loss"])
        return step

    def get_loss(
        self, y_pred: Terms, y_true: None, X: Any = None, training: bool = False
    ) -> Tensor:
        """Return the loss of a batch; there are no targets."""
        if training:
            self.last_terms_ = y_pred
        return self.criterion_(y_pred)

    def on_epoch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Record what the terms of the last batch are on average."""
        super().on_epoch_end(net, *args, **kwargs)
        terms = self.__dict__.pop("last_terms_", None)
        if terms is None:
            return
        for name, of_samples in terms.averages().items():
            self.history.record(name, of_samples)

    def progress(self) -> dict[str, float]:
        """Return the bound, that of the held-out rows where there are some."""
        return {"bound": -super().progress()["loss"]}
