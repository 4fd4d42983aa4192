"""E-mail addresses, in the one spelling by which an account is found."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, StringConstraints, WithJsonSchema

#: Octets of an address (RFC 5321).
MAX_LENGTH = 254


def normal_email(address: str) -> str:
    """The stored spelling: lower case, NFC, the domain in Unicode and not in punycode.

    Raises:
        ValueError: It is not an address, or no mail can be sent to it: Django's SMTP backend turns
            a local part that is not ASCII into another address.
    """
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError(f"not an e-mail address: {error}") from error
    return _lower(found.normalized)


def email_key(address: str) -> str:
    """The spelling to look an account up by; any text is accepted.

    It also finds accounts from the time before local parts had to be ASCII.
    """
    try:
        found = validate_email(address[: 2 * MAX_LENGTH], check_deliverability=False)
    except EmailNotValidError:
        return _lower(address.strip())
    return _lower(found.normalized)


def mailbox(email: str) -> str:
    """The address for SMTP, its domain encoded by IDNA 2008.

    Django uses IDNA 2003, by which mail to faß.example would go to fass.example, another domain.

    Raises:
        ValueError: No mail can be sent to the address.
    """
    ascii_email = validate_email(email, check_deliverability=False).ascii_email
    if ascii_email is None:
        raise ValueError("not ASCII before the @")
    return ascii_email


def _lower(address: str) -> str:
    return unicodedata.normalize("NFC", address.lower())


#: A field of a payload, stored in the normal spelling.
Email = Annotated[
    str,
    StringConstraints(max_length=MAX_LENGTH, strip_whitespace=True),
    AfterValidator(normal_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAX_LENGTH}),
]
