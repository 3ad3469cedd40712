"""scikit-learn's own callbacks, where its release has them, and how a net's epochs reach them.

They came with scikit-learn 1.9 (SLEP 23) and may still change there: this is the one place that
knows of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike
from skorch.callbacks import Callback

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9: without ``set_callbacks``

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""


__all__ = ["KEPT_ON_FAILURE", "CallbackSupportMixin", "EpochTasks", "begin_fit", "end_fit"]

# What scikit-learn looks for after fit, whether it succeeded or not, to end what callbacks began.
KEPT_ON_FAILURE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")

# Names of skorch's callbacks that write a loss into the history at the end of an epoch.
WRITE_LOSSES = ("train_loss", "valid_loss")


def begin_fit(imputer: Any, X: ArrayLike, n_tasks: int) -> Any | None:
    """Tell callbacks that a fit of so many tasks begins; return what tasks are told through."""
    if not hasattr(imputer, "_init_callback_context"):
        return None
    context = imputer._init_callback_context(max_subtasks=n_tasks)
    context.call_on_fit_task_begin(estimator=imputer, X=X)
    return context


def end_fit(context: Any | None, imputer: Any, X: ArrayLike) -> None:
    """Tell callbacks that a fit is done."""
    if context is not None:
        context.call_on_fit_task_end(estimator=imputer, X=X, reconstruction_attributes={})


class EpochTasks(Callback):
    """Tells scikit-learn's callbacks of the epochs of a net, each of which is a task of a fit.

    A callback that asks for an end of training gets it, in the way that skorch's do.

    Parameters
    ----------
    imputer : estimator
        The imputer that is being fitted.
    context : sklearn.callback.CallbackContext
        That of the fit.
    fitted_attributes : callable
        Returns, given the net, what the imputer would have if training ended now.
    """

    def __init__(
        self, imputer: Any, context: Any, fitted_attributes: Callable[[Any], dict[str, Any]]
    ) -> None:
        self.imputer = imputer
        self.context = context
        self.fitted_attributes = fitted_attributes

    def insert_into(self, net: Any) -> None:
        """Take a place after the losses are known, and before another callback ends training."""
        names = [name for name, _ in net.callbacks_]
        place = max((names.index(name) + 1 for name in WRITE_LOSSES if name in names), default=0)
        net.callbacks_.insert(place, ("epoch_tasks", self))

    def remove_from(self, net: Any) -> None:
        """Leave a net that can be pickled without the imputer."""
        net.callbacks_ = [(name, each) for name, each in net.callbacks_ if each is not self]

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin a task."""
        self.task_ = self.context.subcontext(task_name="epoch")
        self.task_.call_on_fit_task_begin(estimator=self.imputer)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End a task."""
        asks_for_end = self.task_.call_on_fit_task_end(
            estimator=self.imputer,
            reconstruction_attributes=lambda: self.fitted_attributes(net),
        )
        if asks_for_end:
            raise KeyboardInterrupt
