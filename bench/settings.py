"""The settings of the benchmarks, with a bare view beside the product's own."""

from bench.unlimited import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
