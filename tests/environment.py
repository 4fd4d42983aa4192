"""Loaded as a plugin before the settings are read: a home that belongs to this test run alone."""

import os
import tempfile
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="cinema-test-"))
HOME.chmod(0o755)  # PostgreSQL, which root runs as another account, must be able to pass
os.environ["CINEMA_HOME"] = str(HOME)
os.environ.setdefault("SECRET_KEY", "only for the tests")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tiny matrices: threads of OpenMP would only spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
