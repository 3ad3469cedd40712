"""torch in processes that were forked from one in which it has used several threads.

Its threads are not there then, and it would wait for them for ever. With one thread it does not.
"""

from __future__ import annotations

import os

import torch

__all__ = ["use_one_thread_if_forked"]

_is_new = False


def _note_fork() -> None:
    global _is_new
    _is_new = True


# Noted only, for what else the process does with torch is not our affair.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def use_one_thread_if_forked() -> None:
    """Let torch use one thread, if this process was forked and has not been here before."""
    global _is_new
    if _is_new:
        torch.set_num_threads(1)
        _is_new = False
