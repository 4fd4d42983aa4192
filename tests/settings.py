"""The product's settings, with what only the tests need."""

from cinema.settings import *  # noqa: F403

PASSWORD_HASHERS = [
    "tests.hashers.CheapArgon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
