from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "users"

    def ready(self) -> None:
        from cinema.auth import register_token_reader
        from cinema.replicas import register_position_keeper
        from users.auth import keep_position, token_user

        register_token_reader(token_user)
        register_position_keeper(keep_position)
