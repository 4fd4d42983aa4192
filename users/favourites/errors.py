from cinema.errors import Conflict, NotFound


class FavouriteNotFound(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} is not among your favourites.")


class FavouritesFull(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(f"You have {at_most} favourites, and there is no room for more.")
