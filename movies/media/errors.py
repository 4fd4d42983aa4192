from cinema.errors import ApiError, NotFound, Unprocessable


class FileRefused(Unprocessable):
    """What was uploaded is not what it should be, or is damaged."""

    def __init__(self, message: str) -> None:
        super().__init__("body.file", message)


class FileTooLarge(ApiError):
    status = 413

    def __init__(self, limit_mb: int) -> None:
        super().__init__(f"The file may have {limit_mb} MB.")


class NoPoster(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} has no poster.")


class NoTrailer(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} has no trailer.")


class StorageAway(ApiError):
    """The storage cannot be written: it is not reached, or it is full."""

    status = 503
    headers = {"Retry-After": "10"}

    def __init__(self) -> None:
        super().__init__("The storage for uploads is away or full. Try again.")
