from __future__ import annotations

from ninja import Field, Schema

from cinema.schemas import Line
from users.schemas import Password


class LoginIn(Schema):
    email: Line = Field(max_length=254, examples=["agnes@example.org"])
    password: Password = Field(examples=["cleo from 5 to 7"])


class RefreshIn(Schema):
    refresh: str = Field(max_length=200, examples=["mAb7f9…"])


class TokenPairOut(Schema):
    access: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…"])
    refresh: str = Field(examples=["mAb7f9…"])
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="Seconds until `access` ends.", examples=[900])
