"""Loaded as a plugin before the settings are read: a home that belongs to this test run alone."""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

from tests.limits import NO_LIMITS

EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"
SETTINGS = re.findall(r"^#?([A-Z0-9_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE)
# A developer's environment and `.env` change no test. An empty variable counts as unset, and takes
# precedence over `.env`.
os.environ.update(dict.fromkeys(SETTINGS, ""))
# Servers other than the embedded ones are named by variables that only the tests read.
for _name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
    os.environ[_name] = os.environ.get(f"TEST_{_name}", "")

HOME = Path(tempfile.mkdtemp(prefix="cinema-test-"))
# pytest-xdist loads this module also in the process that waits, without servers.
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
HOME.chmod(0o755)  # PostgreSQL, which root runs as another account, must be able to pass
#: The home of the process that starts those of pytest-xdist: what they share lies there.
SHARED = Path(os.environ.setdefault("CINEMA_TEST_SHARED", str(HOME)))
os.environ["CINEMA_HOME"] = str(HOME)
os.environ["SECRET_KEY"] = "only for the tests"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tiny matrices: threads of OpenMP would only spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The algorithms of lists by default. Each further one makes each training longer; the tests
# that are about them name them.
os.environ["TRAINING_ALGORITHMS"] = "popularity,als,content,hybrid"
os.environ["TUNING_BUDGET_S"] = "0"
# Lists go by relevance alone, except in the tests of the other parts.
os.environ["DIVERSITY"] = "0"
# Tests of the limits set their own, and come from this machine.
os.environ.update(NO_LIMITS)
os.environ["THROTTLE_EXEMPT"] = "off"
