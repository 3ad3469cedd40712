"""scikit-learn's own callbacks, where its release has them.

They came with scikit-learn 1.9 (SLEP 23) and may still change there: this and ``_epochs`` are
the places that know of them.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9: without ``set_callbacks``

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""


__all__ = ["KEPT_ON_FAILURE", "CallbackSupportMixin", "begin_fit", "end_fit"]

# What scikit-learn looks for after fit, whether it succeeded or not, to end what callbacks began.
KEPT_ON_FAILURE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")


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
