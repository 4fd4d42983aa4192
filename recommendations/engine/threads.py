"""How many threads the linear algebra may use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

# Both bring a BLAS of their own, and what is not loaded yet is not found below.
import numpy.linalg  # noqa: F401
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """For loops over small systems, where waiting for a second thread takes longer than the work.

    Servers and trainers begin with OPENBLAS_NUM_THREADS=1; whoever uses the engine from elsewhere
    need not know of it. Unlike `threadpool_limits` it does not look for libraries each time,
    which takes longer than to score a viewer.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
