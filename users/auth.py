"""The request of a signed-in user, for type checkers."""

from django.http import HttpRequest

from users.models import User


class AuthedRequest(HttpRequest):
    auth: User
