"""The office's pages for films and screenings; Django looks for them here."""

from movies.admin import films, screenings

__all__ = ["films", "screenings"]
