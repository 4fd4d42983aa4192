"""Buckets of Amazon's S3, or of a compatible server: the storage of uploads, and a client."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def region() -> str:
    """The region of all buckets, from the variable that boto3 reads."""
    return os.environ.get("AWS_DEFAULT_REGION", "") or "us-east-1"


def require_packages(variable: str) -> None:
    """Raises ImproperlyConfigured: The packages that only buckets need are not installed."""
    if find_spec("storages") is None or find_spec("boto3") is None:
        raise ImproperlyConfigured(
            f"{variable} is set, but what speaks to buckets is not installed: "
            "`make s3`, or `poetry install --extras s3`."
        )


def bucket_client(endpoint: str) -> Any:
    """A client of boto3, whose calls end within two minutes while the server is away."""
    from boto3.session import Session  # it takes half a second, which only buckets cost
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 3},
        s3={"addressing_style": addressing_style(endpoint)},
    )
    return Session().client(
        "s3", endpoint_url=endpoint or None, region_name=region(), config=config
    )


def addressing_style(endpoint: str) -> str | None:
    """Amazon has the bucket's name as a subdomain, other servers in the path."""
    return "path" if endpoint else None


def bucket_url(bucket: str, endpoint: str, region: str) -> str:
    """The address at which such servers show a public bucket."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}"
    return f"https://{bucket}.s3.{region}.amazonaws.com"


def bucket_storage(bucket: str, public_url: str, endpoint: str, region: str) -> dict[str, Any]:
    """The entry of `STORAGES`. django-storages reads the keys from the environment itself.

    Raises:
        ImproperlyConfigured: The packages that only buckets need are not installed.
    """
    require_packages("MEDIA_BUCKET")
    protocol, _, domain = public_url.rstrip("/").partition("//")
    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint or None,
        "region_name": region,
        "addressing_style": addressing_style(endpoint),
        "url_protocol": protocol,
        "custom_domain": domain,
        # Addresses that do not expire: caches and search engines may keep them.
        "querystring_auth": False,
        "object_parameters": {
            "CacheControl": "public, max-age=31536000, immutable",
            "ContentDisposition": "inline",
        },
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
