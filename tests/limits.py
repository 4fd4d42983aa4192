"""Tests send more in a second than a viewer does in an hour."""

NO_LIMITS = dict.fromkeys(
    (
        "THROTTLE_ANONYMOUS",
        "THROTTLE_VIEWER",
        "THROTTLE_LOGIN",
        "THROTTLE_REGISTER",
        "THROTTLE_MAIL",
        "THROTTLE_HEAVY",
    ),
    "off",
)
