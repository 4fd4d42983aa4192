"""The settings of the product, for clients that send more requests than viewers do."""

from cinema.settings import *  # noqa: F403
from cinema.throttling.counters import rate

# Requests are counted as everywhere, and none is refused.
THROTTLE_STAFF = THROTTLE_REFRESH = THROTTLE_GRAPHQL = THROTTLE_UPLOAD = rate("1000000/s")
# Longer than a run: an expired token would be answered by 401.
ACCESS_TOKEN_LIFETIME_S = 24 * 3600
