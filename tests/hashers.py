"""The product's password hasher at the lowest cost that Argon2 allows."""

from users.passwords import Argon2


class CheapArgon2(Argon2):
    """A hash takes well under a millisecond instead of 0.4 s of CPU.

    It stays Argon2, so tests see the product's algorithm, its limit of concurrent hashes and its
    rehash after a change of cost. `tests/test_hashing.py` uses the product's own hasher.
    """

    time_cost = 1
    memory_cost = 8
    parallelism = 1
