from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema
from pydantic import ConfigDict, StringConstraints

from cinema.schemas import Line
from users.addresses import Email
from users.models import User

#: Argon2 reads all of it, so its length has a limit.
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]
PersonName = Annotated[Line, StringConstraints(max_length=100)]


class RegisterIn(Schema):
    model_config = ConfigDict(extra="forbid")

    email: Email = Field(examples=["agnes@example.org"])
    password: Password = Field(examples=["cleo from 5 to 7"])
    name: PersonName = Field("", examples=["Agnès"])


class ProfileIn(Schema):
    """What is not given stays."""

    model_config = ConfigDict(extra="forbid")

    # What stands in for what is not given is no address, and stays out of the document.
    name: PersonName = Field(default_factory=str, examples=["Agnès"])
    email: Email = Field(default_factory=str, examples=["agnes@example.org"])
    password: Password = Field(
        default_factory=str,
        description="The current one. A new address needs it.",
        examples=["cleo from 5 to 7"],
    )


class PasswordIn(Schema):
    model_config = ConfigDict(extra="forbid")

    current: Password = Field(examples=["cleo from 5 to 7"])
    new: Password = Field(examples=["vagabond in winter"])


class UserOut(Schema):
    id: int = Field(examples=[7])
    email: str = Field(examples=["agnes@example.org"])
    name: str = Field(examples=["Agnès"])
    is_staff: bool
    date_joined: datetime
    email_verified: bool = Field(description="Whether the viewer reads what is sent to `email`.")

    @staticmethod
    def resolve_email_verified(user: User) -> bool:
        return user.email_verified_at is not None
