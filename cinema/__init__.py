"""The project package: settings, shared code, assembly of the apps, and development code."""

import os

# Threads of BLAS, beside implicit's own, slow it down tenfold. NumPy reads this variable when it is
# imported, and every process imports this package first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

#: The version of `pyproject.toml`, which an installed Cinema does not have.
__version__ = "0.2.0"
