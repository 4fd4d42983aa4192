"""The metrics of `/metrics`, for Prometheus. docs/metrics.md lists each of them.

`counters` counts in the web processes, in files that outlive a process. `totals` counts what
workers and commands do, in Valkey. `sources` reads the rest while Prometheus asks.
"""
