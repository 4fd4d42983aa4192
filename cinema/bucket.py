"""A bucket of Amazon's S3, or of a server that speaks like it, as the storage of uploads."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def bucket_url(bucket: str, endpoint: str, region: str) -> str:
    """Where such servers show a bucket that everyone may read."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}"
    return f"https://{bucket}.s3.{region}.amazonaws.com"


def bucket_storage(**options: Any) -> dict[str, Any]:
    """The entry of `STORAGES`; `options` are those of `storages.backends.s3`.

    Raises:
        ImproperlyConfigured: The packages are not installed that are needed for buckets alone.
    """
    if find_spec("storages") is None or find_spec("boto3") is None:
        raise ImproperlyConfigured(
            "MEDIA_BUCKET is set, but what speaks to buckets is not installed: "
            "`make s3`, or `poetry install --extras s3`."
        )
    protocol, _, domain = options.pop("public_url").rstrip("/").partition("//")
    fixed = {
        "url_protocol": protocol,
        "custom_domain": domain,
        # Addresses that do not expire, of which caches and search engines may keep hold.
        "querystring_auth": False,
        "object_parameters": {
            "CacheControl": "public, max-age=31536000, immutable",
            "ContentDisposition": "inline",
        },
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**fixed, **options}}
