from __future__ import annotations

from ninja import Field, Schema
from pydantic import ConfigDict

from users.addresses import Email
from users.schemas import Password

_TOKEN = Field(
    min_length=1, max_length=200, description="From the link.", examples=["6fVw0pJmNn1sHc…"]
)


class ForgottenIn(Schema):
    model_config = ConfigDict(extra="forbid")

    email: Email = Field(examples=["agnes@example.org"])


class ResetIn(Schema):
    model_config = ConfigDict(extra="forbid")

    token: str = _TOKEN
    password: Password = Field(examples=["vagabond in winter"])


class VerifyIn(Schema):
    model_config = ConfigDict(extra="forbid")

    token: str = _TOKEN
