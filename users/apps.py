from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "users"

    def ready(self) -> None:
        from cinema.auth import register_token_reader
        from users.auth import token_user

        register_token_reader(token_user)
