"""ID tokens, by which a Cloud Run service identifies its caller.

Imported by `local.command.cloud`.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from bitcoin_pipeline.settings import SettingsError
from local.command.steps import through_outages

IMPERSONATED_ACCOUNT_VARIABLE: Final = "PIPELINE_IMPERSONATED_ACCOUNT"

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)

_NO_TOKEN: Final = (
    "fetch_archive needs an ID token of a service account, and the Google credentials found here are not of one; set"
    f" {IMPERSONATED_ACCOUNT_VARIABLE} to an account that has roles/run.invoker on the function and on which you have"
    " roles/iam.serviceAccountOpenIdTokenCreator"
)


class IdTokens:
    """The ID tokens of one process: one per audience, which is used until 4 minutes before its end.

    `account`: the service account to impersonate; empty when the default credentials are of a service account or
    impersonate one. Every method may be called in any thread.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._credentials: dict[str, Any] = {}
        self._lock = threading.Lock()

    def token(self, audience: str) -> str:
        """A token that the Cloud Run service at `audience` accepts for some minutes at least.

        Raises SettingsError when the credentials cannot make one, google.auth's RefreshError when it is refused, and
        BackfillError when Google does not answer.
        """
        from google.auth.exceptions import TransportError
        from google.auth.transport.requests import Request

        with self._lock:
            if audience not in self._credentials:
                self._credentials[audience] = _credentials(audience, self._account)
            credentials = self._credentials[audience]
            if not credentials.valid:  # google-auth's margin before the end is 3 minutes and 45 seconds
                through_outages("the server of ID tokens", lambda: credentials.refresh(Request()), (TransportError,))
            return str(credentials.token)


def _credentials(audience: str, account: str) -> Any:
    """Credentials of google-auth whose token is an ID token. Raises SettingsError.

    `fetch_id_token_credentials` alone knows neither a person's credentials nor those that `gcloud auth
    application-default login --impersonate-service-account` has stored.
    """
    import google.auth
    from google.auth import impersonated_credentials
    from google.auth.exceptions import DefaultCredentialsError
    from google.auth.transport.requests import Request
    from google.oauth2 import credentials as persons
    from google.oauth2 import id_token

    source, _ = google.auth.default(scopes=_SCOPES)
    if account:
        source = impersonated_credentials.Credentials(source, account, target_scopes=_SCOPES)
    if isinstance(source, impersonated_credentials.Credentials):
        return impersonated_credentials.IDTokenCredentials(source, audience, include_email=True)
    if isinstance(source, persons.Credentials):
        raise SettingsError(_NO_TOKEN)
    try:
        return id_token.fetch_id_token_credentials(audience, request=Request())
    except DefaultCredentialsError as error:
        raise SettingsError(_NO_TOKEN) from error
