"""The health endpoints below the API's base path, where its document describes them."""

from typing import Literal

from django.http import HttpRequest, JsonResponse
from ninja import Field, Router, Schema
from pydantic import ConfigDict

from cinema import health

router = Router(tags=["Health"])


class LiveOut(Schema):
    status: Literal["ok"]


class ComponentOut(Schema):
    """One thing that Cinema needs. Some have further members, such as the `age_s` of a release."""

    model_config = ConfigDict(extra="allow")

    state: str = Field(examples=["ok"])
    latency_ms: float = Field(examples=[0.42])


class HealthOut(Schema):
    status: Literal["ok", "unavailable"]
    components: dict[str, ComponentOut]


HEALTH = {200: HealthOut, 503: HealthOut}


@router.get("/health/live", response={200: LiveOut})
def get_liveness(request: HttpRequest) -> JsonResponse:
    """Whether the process runs. It asks no other server."""
    return health.live(request)


@router.get("/health/ready", response=HEALTH)
def get_readiness(request: HttpRequest) -> JsonResponse:
    """Whether everything is there that HEALTH_REQUIRED names, each with its state and latency."""
    return health.ready(request)


@router.get("/health", response=HEALTH)
def get_health(request: HttpRequest) -> JsonResponse:
    """The same as `/health/ready`."""
    return health.ready(request)


@router.get("/health/db", response=HEALTH)
def get_database_health(request: HttpRequest) -> JsonResponse:
    """Whether the database answers."""
    return health.db(request)
