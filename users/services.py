from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from users.errors import EmailTaken, WeakPassword
from users.models import User


def register_user(*, email: str, password: str, name: str = "") -> User:
    """Open a viewer's account.

    Raises:
        WeakPassword: Django's validators refuse the password.
        EmailTaken: An account has this address, in whatever case.
    """
    user = User(email=email.lower(), name=name)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPassword(" ".join(error.messages)) from error
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise EmailTaken from error
    return user
