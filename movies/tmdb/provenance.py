"""Attribution of TMDb's data."""

from __future__ import annotations

#: TMDb's terms require this sentence wherever their data are shown.
ATTRIBUTION = (
    "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise "
    "approved by TMDB."
)
