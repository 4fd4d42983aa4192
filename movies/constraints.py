from django.db import IntegrityError


def broken_constraint(error: IntegrityError) -> str | None:
    """The name of the database constraint that refused the write; None if it does not say."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)
