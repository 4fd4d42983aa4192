"""Estimates of the time and the memory that fitting an algorithm takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: The share of the machine's memory that one fit may take.
FIT_MEMORY = 0.5


@dataclass(frozen=True)
class FitCost:
    """An estimate of what one fit takes.

    Attributes:
        seconds: On two cores.
        bytes: Of memory beyond the data, including the model that it replaces.
    """

    seconds: float = 0.0
    bytes: float = 0.0

    def obstacle(self, *, longest_s: float) -> str | None:
        """Why a fit should not start; None if it fits."""
        most = FIT_MEMORY * machine_bytes()
        if self.seconds > longest_s:
            return f"Fitting would take about {self.seconds:.0f} s, longer than {longest_s:.0f} s."
        if self.bytes > most:
            return (
                f"Fitting would take about {self.bytes / 1e9:.1f} GB of memory, "
                f"more than the {most / 1e9:.1f} GB that one fit may take on this machine."
            )
        return None


def machine_bytes() -> int:
    """The memory of this machine, or of the container if that has less."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else ""
    return min(found, int(text)) if text.isdecimal() else found
