"""Loaded as a plugin before the settings are read: a home that belongs to this test run alone."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.limits import NO_LIMITS

HOME = Path(tempfile.mkdtemp(prefix="cinema-test-"))
# Also where no server runs: pytest-xdist loads this once more, in the process that only waits.
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
HOME.chmod(0o755)  # PostgreSQL, which root runs as another account, must be able to pass
os.environ["CINEMA_HOME"] = str(HOME)
os.environ.setdefault("SECRET_KEY", "only for the tests")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tiny matrices: threads of OpenMP would only spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What lists are made of by default. Each further algorithm makes each training longer; the tests
# that are about them name them.
os.environ["TRAINING_ALGORITHMS"] = "popularity,als,content,hybrid"
os.environ["TUNING_BUDGET_S"] = "0"
# Lists go by relevance alone, but in the tests that are about more.
os.environ["DIVERSITY"] = os.environ["FRESHNESS"] = "0"
# On a busy machine a slow cache is not away, or what was kept would seem forgotten.
os.environ["CACHE_TIMEOUT_S"] = "20"
# Tests of the limits set their own, and come from this machine.
os.environ.update(NO_LIMITS)
os.environ["THROTTLE_EXEMPT"] = "off"
# A developer's own token: no test speaks to the real TMDb.
os.environ["TMDB_ACCESS_TOKEN"] = ""
