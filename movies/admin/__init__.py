"""The admin pages; Django imports this package."""

from movies.admin import films, screenings

__all__ = ["films", "screenings"]
