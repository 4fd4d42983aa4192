"""The requests of signed-in users and of anyone, for type checkers."""

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from users.models import User

#: Who calls an operation for `anyone`.
Reader = User | AnonymousUser


class AuthedRequest(HttpRequest):
    auth: User


class ReaderRequest(HttpRequest):
    auth: Reader
