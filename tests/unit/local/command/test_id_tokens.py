"""ID tokens of the data commands: from an impersonated account, kept until shortly before their end, or refused."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google.auth
import google.auth.jwt
import pytest
from google.auth import iam
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.auth.impersonated_credentials import Credentials as Impersonated
from google.oauth2 import credentials as persons
from google.oauth2 import id_token

from bitcoin_pipeline.settings import SettingsError
from local.command.id_tokens import IdTokens

ACCOUNT = "caller@production.iam.gserviceaccount.com"
URL = "https://fetch-archive.example"
WAY_OUT = "set PIPELINE_IMPERSONATED_ACCOUNT to an account that has roles/run.invoker on the function"


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims, "unsigned")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


class IamCredentials(ThreadingHTTPServer):
    """iamcredentials.googleapis.com: it makes ID tokens of `lifetime_s` for bearers of the token `mine`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.lifetime_s = 3600

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/{{}}:generateIdToken"


class _Answer(BaseHTTPRequestHandler):
    server: IamCredentials

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        is_allowed = self.headers["Authorization"] == "Bearer mine"
        now = int(time.time())
        claims = {"aud": body["audience"], "iat": now, "exp": now + self.server.lifetime_s}
        answer = {"token": unsigned(claims)} if is_allowed else {"error": {"status": "PERMISSION_DENIED"}}
        content = json.dumps(answer).encode()
        self.send_response(200 if is_allowed else 403)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[IamCredentials]:
    with IamCredentials() as server:
        monkeypatch.setattr(iam, "_IAM_IDTOKEN_ENDPOINT", server.endpoint)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The default credentials, in the first place of the list: a person's own, with a token that the server accepts."""
    found: list[Any] = [persons.Credentials("mine")]
    monkeypatch.setattr(google.auth, "default", lambda **_: (found[0], "production"))
    return found


def test_a_person_impersonates_the_account_of_the_setting(server: IamCredentials, defaults: list[Any]) -> None:
    token = IdTokens(ACCOUNT).token(URL)
    assert google.auth.jwt.decode(token, verify=False)["aud"] == URL
    path = f"/v1/{ACCOUNT}:generateIdToken"
    assert server.requests == [(path, {"audience": URL, "delegates": None, "includeEmail": True})]


def test_stored_credentials_that_impersonate_need_no_setting(server: IamCredentials, defaults: list[Any]) -> None:
    defaults[0] = Impersonated(defaults[0], ACCOUNT, ["scope"])
    assert google.auth.jwt.decode(IdTokens("").token(URL), verify=False)["aud"] == URL
    assert [path for path, _ in server.requests] == [f"/v1/{ACCOUNT}:generateIdToken"]


def test_a_token_is_kept_for_each_audience_and_fetched_once_by_many_threads(
    server: IamCredentials, defaults: list[Any]
) -> None:
    tokens = IdTokens(ACCOUNT)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: tokens.token(URL), range(40)))) == 1
    assert tokens.token("https://other.example") != tokens.token(URL)
    assert [body["audience"] for _, body in server.requests] == [URL, "https://other.example"]


def test_a_token_that_is_about_to_end_is_replaced(server: IamCredentials, defaults: list[Any]) -> None:
    server.lifetime_s = 200
    tokens = IdTokens(ACCOUNT)
    tokens.token(URL)
    server.lifetime_s = 3600
    assert tokens.token(URL) == tokens.token(URL)
    assert len(server.requests) == 2


def test_credentials_of_a_person_alone_are_refused_with_the_way_out(defaults: list[Any]) -> None:
    with pytest.raises(SettingsError, match=WAY_OUT):
        IdTokens("").token(URL)


def test_credentials_of_another_kind_are_refused_with_the_way_out(
    defaults: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_server(*_: object, **__: object) -> Any:
        raise DefaultCredentialsError("Neither metadata server or valid service account credentials are found.")

    defaults[0] = object()
    monkeypatch.setattr(id_token, "fetch_id_token_credentials", no_server)
    with pytest.raises(SettingsError, match=WAY_OUT):
        IdTokens("").token(URL)


def test_a_refusal_of_the_account_is_reported(server: IamCredentials, defaults: list[Any]) -> None:
    defaults[0] = persons.Credentials("of-somebody-else")
    with pytest.raises(RefreshError, match="PERMISSION_DENIED"):
        IdTokens(ACCOUNT).token(URL)


class Failing:
    """Credentials whose first refreshes do not reach the server."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.token = ""

    @property
    def valid(self) -> bool:
        return bool(self.token)

    def refresh(self, _: object) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise TransportError("connection refused")
        self.token = "late"  # noqa: S105  # a fake


def test_a_server_that_does_not_answer_is_asked_again(defaults: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    defaults[0] = object()
    monkeypatch.setattr(id_token, "fetch_id_token_credentials", lambda *_, **__: Failing(3))
    assert IdTokens("").token(URL) == "late"
