"""The answers of the metadata server."""

from __future__ import annotations

import google.auth.jwt
import pytest

from local.backing.metadata import ACCOUNT, answer

NOW = 1_800_000_000
ANY_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/{}"


def page_at(path: str, **query: str) -> object:
    return answer(path, {key: [value] for key, value in query.items()}, "demo", NOW)


@pytest.mark.parametrize("account", ["default", ACCOUNT])
def test_hands_out_tokens(account: str) -> None:
    page = ANY_ACCOUNT.format(account)
    assert page_at(page + "/token") == {"access_token": "local", "expires_in": 3599, "token_type": "Bearer"}
    assert page_at(page + "/email") == ACCOUNT
    token = page_at(page + "/identity", audience="http://127.0.0.1:8080/f")
    claims = google.auth.jwt.decode(token, verify=False)
    assert (claims["aud"], claims["iat"], claims["exp"]) == ("http://127.0.0.1:8080/f", NOW, NOW + 3599)


def test_knows_the_project_and_nothing_else() -> None:
    assert page_at("/computeMetadata/v1/project/project-id") == "demo"
    assert page_at("/") == "instance/\nproject/\n"  # the probe of google-auth
    assert page_at("/computeMetadata/v1/instance/attributes/cluster-name") is None
    assert page_at(ANY_ACCOUNT.format("default") + "/identity") is None  # an audience is needed
