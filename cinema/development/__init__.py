from dataclasses import dataclass


@dataclass(frozen=True)
class SignIn:
    email: str
    password: str
    name: str


#: Known to everybody who can read this: made only in the demonstration.
STAFF = SignIn("staff@cinema.example", "projector room", "Alice Guy")


VIEWER = SignIn("viewer@cinema.example", "front row centre", "Agnès")
