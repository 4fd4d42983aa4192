from cinema.errors import Conflict


class LastSuperuser(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "This is the only account that may appoint staff. Make somebody else a superuser first."
        )
