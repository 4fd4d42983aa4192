"""The settings of the product, with a bare view beside its own."""

from cinema.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
