"""Tests send more in a second than a viewer does in an hour."""

NO_LIMITS = dict.fromkeys(
    (
        "THROTTLE_ANONYMOUS",
        "THROTTLE_VIEWER",
        "THROTTLE_STAFF",
        "THROTTLE_LOGIN",
        "THROTTLE_REFRESH",
        "THROTTLE_REGISTER",
        "THROTTLE_MAIL",
        "THROTTLE_HEAVY",
        "THROTTLE_UPLOAD",
        "THROTTLE_GRAPHQL",
    ),
    "off",
)
