from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema
from pydantic import ConfigDict

from cinema.schemas import Line
from users.schemas import Password


class LoginIn(Schema):
    model_config = ConfigDict(extra="forbid")

    email: Line = Field(max_length=254, examples=["agnes@example.org"])
    password: Password = Field(examples=["cleo from 5 to 7"])
    otp: str = Field(
        default_factory=str,
        max_length=40,
        description="For an account with a second factor: the code of the authenticator app, "
        "or a recovery code.",
        examples=["287082"],
    )


class RefreshIn(Schema):
    model_config = ConfigDict(extra="forbid")

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
    last_used_at: datetime = Field(description="When it was signed in or refreshed last.")
    expires_at: datetime = Field(description="Unless it is refreshed before.")
    is_current: bool = Field(description="Whether this request comes from it.")
