from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema
from pydantic import AfterValidator, EmailStr, StringConstraints

from cinema.schemas import Line

Email = Annotated[EmailStr, AfterValidator(str.lower)]
#: Argon2 reads all of it, so its length has a limit.
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class RegisterIn(Schema):
    email: Email = Field(max_length=254, examples=["agnes@example.org"])
    password: Password = Field(examples=["cleo from 5 to 7"])
    name: Annotated[Line, StringConstraints(max_length=100)] = Field("", examples=["Agnès"])


class UserOut(Schema):
    id: int = Field(examples=[7])
    email: str = Field(examples=["agnes@example.org"])
    name: str = Field(examples=["Agnès"])
    is_staff: bool
    date_joined: datetime
