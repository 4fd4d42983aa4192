"""A bucket of Amazon's S3, or of a compatible server, as the storage of uploads."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ImproperlyConfigured


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
    if find_spec("storages") is None or find_spec("boto3") is None:
        raise ImproperlyConfigured(
            "MEDIA_BUCKET is set, but what speaks to buckets is not installed: "
            "`make s3`, or `poetry install --extras s3`."
        )
    protocol, _, domain = public_url.rstrip("/").partition("//")
    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint or None,
        "region_name": region,
        # Only Amazon has names of buckets as subdomains.
        "addressing_style": "path" if endpoint else None,
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
