"""Code for `make run`, tests and benchmarks alone. No module that serves imports it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SignIn:
    email: str
    password: str
    name: str


#: The passwords are public. Only the demonstration has these accounts.
STAFF = SignIn("staff@cinema.example", "projector room", "Alice Guy")
VIEWER = SignIn("viewer@cinema.example", "front row centre", "Agnès")
