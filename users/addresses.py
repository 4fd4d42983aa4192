"""E-mail addresses in the one spelling by which an account is known."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, StringConstraints, WithJsonSchema

#: Of an address that mail can be sent to, in octets (RFC 5321).
MAX_LENGTH = 254


def normal_email(address: str) -> str:
    """The spelling that is stored: lower case, NFC, the domain in Unicode and not in punycode.

    Raises:
        ValueError: It is no address, or no mail can be sent to it: Django's SMTP backend turns
            what is not ASCII before the @ into the address of somebody else.
    """
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError(f"not an e-mail address: {error}") from error
    return _lower(found.normalized)


def email_key(address: str) -> str:
    """What to look an account up by: also of nonsense, which then finds none.

    Accounts made before addresses had to be ASCII before the @ can be found by theirs.
    """
    try:
        found = validate_email(address[: 2 * MAX_LENGTH], check_deliverability=False)
    except EmailNotValidError:
        return _lower(address.strip())
    return _lower(found.normalized)


def mailbox(email: str) -> str:
    """The address as SMTP takes it: its domain by IDNA 2008.

    By Django, which knows IDNA 2003 alone, mail to faß.example would go to fass.example, whose
    owner is somebody else.

    Raises:
        ValueError: No mail can be sent to it.
    """
    ascii_email = validate_email(email, check_deliverability=False).ascii_email
    if ascii_email is None:
        raise ValueError("not ASCII before the @")
    return ascii_email


def _lower(address: str) -> str:
    return unicodedata.normalize("NFC", address.lower())


#: Of a payload, in its normal form.
Email = Annotated[
    str,
    StringConstraints(max_length=MAX_LENGTH, strip_whitespace=True),
    AfterValidator(normal_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAX_LENGTH}),
]
