"""Prints the random values of a new project as Terraform's variable `generated` of `terraform/bootstrap`, in JSON.

`python -m local.generated_secrets > FILE.tfvars.json`; needs the program openssl, 3.0 or newer. The values are secrets:
`make bootstrap` passes them through a file that it deletes, and Terraform stores them only once. No module imports it.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BROKER_HOST: Final = "broker.pipeline.internal"
"""The name to which the broker's certificate is issued, in the private zone of Terraform's module `network`."""

_DAYS: Final = 3650
"""Validity of the certificates; they are replaced by a raised revision of bootstrap and of the environment."""


def main() -> None:
    """Print the variable."""
    values = {"seed": secrets.token_urlsafe(48), "broker_tls": broker_tls()}
    sys.stdout.write(json.dumps({"generated": values}) + "\n")


def broker_tls(host: str = BROKER_HOST) -> str:
    """A new private key, its certificate for `host`, and that of the authority which signed it, as PEM in this order.

    The authority's own key is thrown away. Raises CalledProcessError when openssl fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(_DAYS))
        _openssl(
            *("req", "-x509", *key, "-subj", "/CN=Bitcoin pipeline", "-keyout", "ca.key", "-out", "ca.pem"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
            folder=place,
        )
        _openssl(
            *("req", "-x509", *key, "-subj", f"/CN={host}", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "extendedKeyUsage=serverAuth", "-keyout", "broker.key", "-out", "broker.pem"),
            folder=place,
        )
        return "".join((place / name).read_text("ascii") for name in ("broker.key", "broker.pem", "ca.pem"))


def _openssl(*words: str, folder: Path) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    main()
