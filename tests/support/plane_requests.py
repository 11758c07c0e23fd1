"""Requests to the stand-in of Google's control plane without Terraform. For tests."""

from __future__ import annotations

import functools
import json
from typing import Any

from local.control_plane import catalogues
from local.control_plane.discovery import Catalogue
from local.control_plane.mirrors import Mirrors
from local.control_plane.service import ControlPlane, Request
from local.control_plane.world import PROJECT, Resource, World

REGION = "europe-west1"
PLACE = f"projects/{PROJECT}/locations/{REGION}"


@functools.cache
def catalogue() -> Catalogue:
    """The methods of all APIs, read once."""
    return Catalogue()


def plane(*, enabled: bool = True, polls: int = 0) -> ControlPlane:
    """A control plane with an empty project, whose APIs are all `enabled` or none of them."""
    made = ControlPlane(World(polls=polls), catalogue(), Mirrors({}))
    if enabled:
        body = {"serviceIds": sorted(catalogues.SERVICES)}
        post(made, "serviceusage.googleapis.com", f"/v1/projects/{PROJECT}/services:batchEnable", body)
    return made


def send(made: ControlPlane, verb: str, host: str, target: str, body: Any = None) -> Resource:
    """The answer to a request. Raises Refused."""
    content = b"" if body is None else json.dumps(body).encode()
    answer = made.answer(Request.of(host, verb, target, {"Content-Type": "application/json"}, content))
    assert isinstance(answer, dict)
    return answer


def post(made: ControlPlane, host: str, target: str, body: Any) -> Resource:
    """The answer to a POST."""
    return send(made, "POST", host, target, body)


def get(made: ControlPlane, host: str, target: str) -> Resource:
    """The answer to a GET."""
    return send(made, "GET", host, target)
