from cinema.errors import Unauthorized, Unprocessable


class WrongCredentials(Unauthorized):
    """The address is unknown, the password is wrong, or the account is closed: not told which."""

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class RefreshTokenRefused(Unauthorized):
    """The refresh token is unknown, expired, revoked, or was used before."""

    def __init__(self) -> None:
        super().__init__("This refresh token is not valid, or no longer. Sign in again.")


class EmailTaken(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.email", "An account with this address exists already.")


class WeakPassword(Unprocessable):
    def __init__(self, message: str) -> None:
        super().__init__("body.password", message)
