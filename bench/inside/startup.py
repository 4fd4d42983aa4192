"""Called in the process of a task, once it has imported all that a training needs."""

import time

from recommendations.training import runs  # noqa: F401


def seconds_of_cpu() -> float:
    return time.process_time()
