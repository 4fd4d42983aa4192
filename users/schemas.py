from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import ConfigDict, StringConstraints

from cinema.schemas import Line, StrictSchema
from users.addresses import Email
from users.models import User

#: Argon2 reads the whole password, so its length is limited.
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]
PersonName = Annotated[Line, StringConstraints(max_length=100)]


class RegisterIn(StrictSchema):
    email: Email = Field(examples=["agnes@example.org"])
    password: Password = Field(examples=["cleo from 5 to 7"])
    name: PersonName = Field("", examples=["Agnès"])


class ProfileIn(StrictSchema):
    """Omitted fields keep their values."""

    # The default of `email` is not an address, and `default_factory` keeps it out of the document.
    name: PersonName = Field(default_factory=str, examples=["Agnès"])
    email: Email = Field(default_factory=str, examples=["agnes@example.org"])
    password: Password = Field(
        default_factory=str,
        description="The current password, required to change the address.",
        examples=["cleo from 5 to 7"],
    )


class PasswordIn(StrictSchema):
    current: Password = Field(examples=["cleo from 5 to 7"])
    new: Password = Field(examples=["vagabond in winter"])


class UserOut(Schema):
    id: int = Field(examples=[7])
    email: str = Field(examples=["agnes@example.org"])
    name: str = Field(examples=["Agnès"])
    is_staff: bool
    date_joined: datetime
    email_verified: bool = Field(description="Whether a link sent to `email` was opened.")

    @staticmethod
    def resolve_email_verified(user: User) -> bool:
        return user.email_verified_at is not None


def user_fields(user: User) -> dict[str, object]:
    """In the form of `UserOut`, without the checks of its values, which come from our table."""
    names = ("id", "email", "name", "is_staff", "date_joined")
    fields = {name: getattr(user, name) for name in names}
    return {**fields, "email_verified": UserOut.resolve_email_verified(user)}


_TOKEN = Field(
    min_length=1, max_length=200, description="From the link.", examples=["6fVw0pJmNn1sHc…"]
)


class ForgottenIn(StrictSchema):
    email: Email = Field(examples=["agnes@example.org"])


class ResetIn(StrictSchema):
    token: str = _TOKEN
    password: Password = Field(examples=["vagabond in winter"])


class VerifyIn(StrictSchema):
    token: str = _TOKEN


class LoginIn(StrictSchema):
    email: Line = Field(max_length=254, examples=["agnes@example.org"])
    password: Password = Field(examples=["cleo from 5 to 7"])
    otp: str = Field(
        default_factory=str,
        max_length=40,
        description="For an account with a second factor: the code of the authenticator app, "
        "or a recovery code.",
        examples=["287082"],
    )


class RefreshIn(StrictSchema):
    refresh: str = Field(max_length=1000, examples=["mAb7f9…"])


class TokenPairOut(Schema):
    access: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…"])
    refresh: str = Field(examples=["mAb7f9…"])
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="Seconds until `access` ends.", examples=[900])


class SessionOut(Schema):
    id: int = Field(examples=[31])
    device: str = Field(
        description="`User-Agent` of the sign-in.", examples=["Mozilla/5.0 (X11; Linux x86_64) …"]
    )
    created_at: datetime
    last_used_at: datetime = Field(description="When the session was last signed in or refreshed.")
    expires_at: datetime = Field(description="The end, unless it is refreshed before.")
    is_current: bool = Field(description="Whether this request belongs to the session.")


class ErasureIn(StrictSchema):
    password: Password = Field(examples=["cleo from 5 to 7"])


class ExportOut(Schema):
    """The head of the document, followed by a list for each kind of data.

    The lists are `sessions`, `favourites`, `viewings`, `interactions`, `playlists` with their
    `entries`, `audit_log` and others. Ignore unknown ones: more may be added.
    """

    model_config = ConfigDict(extra="allow")

    format: str = Field(examples=["cinema-personal-data"])
    version: int = Field(examples=[1])
    made_at: datetime
    cinema: str = Field(examples=["Cinema"])
    left_out: dict[str, str] = Field(
        description="Columns missing from the export, and why.",
        examples=[{"users.User.password": "A hash."}],
    )
    account: dict[str, Any] = Field(
        examples=[{"id": 7, "email": "agnes@example.org", "name": "Agnès"}]
    )
