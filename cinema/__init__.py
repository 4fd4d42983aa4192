"""The project package: settings, assembly of the apps, and the one-command server."""

import os

# More threads of BLAS, beside implicit's own, slow it down tenfold. NumPy reads this when it is
# imported, and every process imports this package first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
