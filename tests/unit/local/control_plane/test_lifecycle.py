"""A resource is created once, read, changed by its mask, listed, and deleted with what lies below it."""

from __future__ import annotations

from typing import Any

import pytest

from local.control_plane.world import PROJECT, Refused
from tests.support.plane_requests import PLACE, get, plane, post, send

RUN = "run.googleapis.com"
PUBSUB = "pubsub.googleapis.com"
COMPUTE = "compute.googleapis.com"
GLOBAL = f"/compute/v1/projects/{PROJECT}/global"
POOL: dict[str, Any] = {"template": {"containers": [{"image": "x"}]}, "scaling": {"manualInstanceCount": 1}}


def test_the_life_of_a_resource() -> None:
    made = plane()
    operation = post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)
    assert operation["done"] is True
    assert get(made, RUN, f"/v2/{operation['name']}") == operation
    pool = get(made, RUN, f"/v2/{PLACE}/workerPools/producer")
    assert pool["name"] == f"{PLACE}/workerPools/producer"
    assert pool["latestReadyRevision"].endswith("/revisions/producer-00001-abc")
    with pytest.raises(Refused, match="already exists") as refused:
        post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)
    assert refused.value.code == 409
    change = {**pool, "scaling": {"manualInstanceCount": 0}}
    send(made, "PATCH", RUN, f"/v2/{PLACE}/workerPools/producer?updateMask=scaling.manual_instance_count", change)
    changed = get(made, RUN, f"/v2/{PLACE}/workerPools/producer")
    assert (changed["scaling"]["manualInstanceCount"], changed["generation"]) == (0, "2")
    assert [item["name"] for item in get(made, RUN, f"/v2/{PLACE}/workerPools")["workerPools"]] == [pool["name"]]
    send(made, "DELETE", RUN, f"/v2/{PLACE}/workerPools/producer")
    with pytest.raises(Refused, match="was not found"):
        get(made, RUN, f"/v2/{PLACE}/workerPools/producer")


def test_an_operation_takes_as_many_polls_as_the_world_demands() -> None:
    made = plane()
    made.world.polls = 2
    operation = post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)
    found = [get(made, RUN, f"/v2/{operation['name']}").get("done", False) for _ in range(3)]
    assert (operation.get("done", False), found) == (False, [False, False, True])
    compute = post(made, COMPUTE, f"{GLOBAL}/networks", {"name": "net"})
    path = f"{GLOBAL}/operations/{compute['name']}"
    assert [get(made, COMPUTE, path)["status"] for _ in range(3)] == ["RUNNING", "RUNNING", "DONE"]


def test_an_api_has_to_be_enabled_first() -> None:
    made = plane(enabled=False)
    with pytest.raises(Refused, match=r"pubsub\.googleapis\.com has not been used in project") as refused:
        send(made, "PUT", PUBSUB, f"/v1/projects/{PROJECT}/topics/events", {})
    assert refused.value.code == 403
    with pytest.raises(Refused, match="cloudrun"):
        enable = f"/v1/projects/{PROJECT}/services:batchEnable"
        post(made, "serviceusage.googleapis.com", enable, {"serviceIds": ["cloudrun.googleapis.com"]})


def test_what_is_named_must_exist_and_what_is_used_stays() -> None:
    made = plane()
    network = f"projects/{PROJECT}/global/networks/net"
    subnetwork = {"name": "sub", "network": network, "ipCidrRange": "10.0.0.0/24"}
    target = f"/compute/v1/projects/{PROJECT}/regions/europe-west1/subnetworks"
    with pytest.raises(Refused, match="networks/net' was not found"):
        post(made, COMPUTE, target, subnetwork)
    post(made, COMPUTE, f"{GLOBAL}/networks", {"name": "net"})
    post(made, COMPUTE, target, subnetwork)
    with pytest.raises(Refused, match="already being used by"):
        send(made, "DELETE", COMPUTE, f"{GLOBAL}/networks/net")
    with pytest.raises(Refused, match="Service account nobody@demo-project"):
        pool = {"template": {"serviceAccount": f"nobody@{PROJECT}.iam.gserviceaccount.com", **POOL["template"]}}
        post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", pool)


@pytest.mark.parametrize(
    ("role", "member", "complaint"),
    [
        ("roles/pubsub.publishr", "user:a@example.com", "Role roles/pubsub.publishr is not supported"),
        ("pubsub.publisher", "user:a@example.com", "Role pubsub.publisher is not supported"),
        ("roles/pubsub.publisher", "a@example.com", "Invalid member"),
        ("roles/pubsub.publisher", f"serviceAccount:x@{PROJECT}.iam.gserviceaccount.com", "does not exist"),
    ],
)
def test_a_policy_names_known_roles_and_members(role: str, member: str, complaint: str) -> None:
    made = plane()
    topic = f"/v1/projects/{PROJECT}/topics/events"
    send(made, "PUT", PUBSUB, topic, {})
    policy = {"policy": {"bindings": [{"role": role, "members": [member]}]}}
    with pytest.raises(Refused, match=complaint):
        post(made, PUBSUB, f"{topic}:setIamPolicy", policy)


def test_a_policy_is_kept_and_its_etag_is_checked() -> None:
    made = plane()
    topic = f"/v1/projects/{PROJECT}/topics/events"
    send(made, "PUT", PUBSUB, topic, {})
    bindings = [{"role": "roles/pubsub.publisher", "members": ["user:a@example.com"]}]
    first = post(made, PUBSUB, f"{topic}:setIamPolicy", {"policy": {"bindings": bindings}})
    assert get(made, PUBSUB, f"{topic}:getIamPolicy")["bindings"] == bindings
    post(made, PUBSUB, f"{topic}:setIamPolicy", {"policy": first})
    with pytest.raises(Refused, match="concurrent policy changes"):
        post(made, PUBSUB, f"{topic}:setIamPolicy", {"policy": first})


def test_secrets_are_in_no_resource_and_in_no_list_of_requests() -> None:
    made = plane()
    host = "secretmanager.googleapis.com"
    secrets = f"/v1/projects/{PROJECT}/secrets"
    post(made, host, f"{secrets}?secretId=seed", {"replication": {"automatic": {}}})
    post(made, host, f"{secrets}/seed:addVersion", {"payload": {"data": "c2VjcmV0"}})
    assert get(made, host, f"{secrets}/seed/versions/latest:access")["payload"] == {"data": "c2VjcmV0"}
    assert "c2VjcmV0" not in str(made.world.resources) + str(made.requests)
    with pytest.raises(Refused, match="may not be empty"):
        post(made, host, f"{secrets}/seed:addVersion", {"payload": {}})


def test_a_planted_answer_comes_in_the_place_of_the_next_call_only() -> None:
    made = plane()
    made.refusals += [Refused(429, "Quota exceeded", "rateLimitExceeded", retry_after_s=1), Refused(503, "busy")]
    for code in (429, 503):
        with pytest.raises(Refused) as refused:
            post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)
        assert refused.value.code == code
    assert post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)["done"] is True


def test_a_planted_error_ends_the_next_operation_of_a_method() -> None:
    made = plane()
    made.world.failing["run.projects.locations.workerPools.create"] = Refused(500, "no such image")
    operation = post(made, RUN, f"/v2/{PLACE}/workerPools?workerPoolId=producer", POOL)
    assert (operation["done"], operation["error"]) == (True, {"code": 13, "message": "no such image"})
    assert get(made, RUN, f"/v2/{operation['name']}") == operation
    with pytest.raises(Refused, match="was not found"):
        get(made, RUN, f"/v2/{PLACE}/workerPools/producer")
