"""Bodies, addresses and query parameters that a document does not allow are refused in Google's words."""

from __future__ import annotations

from typing import Any

import pytest

from local.control_plane.world import Refused
from tests.support.plane_requests import PLACE, plane, post, send

RUN = "run.googleapis.com"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"templat": {"a": 1}}, "Unknown name \"templat\" at 'body': Cannot find field."),
        ({"ingress": "INGRESS_TRAFFIC_ANY"}, '"INGRESS_TRAFFIC_ANY" is none of'),
        ({"template": {"timeout": "5 minutes"}}, '"5 minutes" is no google-duration'),
        ({"template": {"maxInstanceRequestConcurrency": "many"}}, '(TYPE_INTEGER), "many"'),
        ({"template": {"maxInstanceRequestConcurrency": 2**40}}, "1099511627776 is no int32"),
        ({"template": {"containers": {"image": "x"}}}, "a list is expected"),
        ({"template": [1]}, "an object is expected"),
        ({"labels": {"a": 1}}, "(TYPE_STRING), 1"),
        ({"defaultUriDisabled": "no"}, '(TYPE_BOOL), "no"'),
        ({"template": {"containers": [{"ports": []}]}}, "Required field 'body.template.containers[0].image'"),
    ],
)
def test_a_body_is_checked_by_its_schema(body: Any, complaint: str) -> None:
    with pytest.raises(Refused) as refused:
        post(plane(), RUN, f"/v2/{PLACE}/services?serviceId=api", body)
    assert complaint in refused.value.message
    assert refused.value.code == 400


def test_absent_values_are_no_faults() -> None:
    body = {"description": "", "template": {"containers": [None, {"image": "x", "command": [None]}]}, "labels": None}
    made = plane()
    post(made, RUN, f"/v2/{PLACE}/services?serviceId=api", body)
    kept = made.world.resources[f"{RUN}/v2/{PLACE}/services/api"]
    assert [item["image"] for item in kept["template"]["containers"]] == ["x"]
    assert "labels" not in kept


def test_a_path_and_a_query_are_checked() -> None:
    with pytest.raises(Refused, match='unknown name "serviceName"'):
        post(plane(), RUN, f"/v2/{PLACE}/services?serviceName=api", {})
    with pytest.raises(Refused, match="answers GET v3/x"):
        send(plane(), "GET", RUN, "/v3/x")


def test_required_fields_are_required_of_a_new_resource_only() -> None:
    made = plane()
    body = {"template": {"containers": [{"image": "x"}]}}
    post(made, RUN, f"/v2/{PLACE}/services?serviceId=api", body)
    target = f"/v2/{PLACE}/services/api?updateMask=labels"
    send(made, "PATCH", RUN, target, {"labels": {"a": "b"}, "template": {"containers": [{}]}})
    kept = made.world.resources[f"{RUN}/v2/{PLACE}/services/api"]
    assert kept["labels"] == {"a": "b"}
    assert kept["template"]["containers"][0]["image"] == "x"
