"""Carries out one step of a deployment: `python -m local.deploy bootstrap|publish|deploy --project ID`.

`make` calls it with PROJECT and REGION. No module imports it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local.checkout import ROOT
from local.command.costs.shapes import Environment
from local.deploy.applying import bootstrap, deploy
from local.deploy.publishing import publish
from local.deploy.target import Conversation, DeployError, Target
from local.environment import stack_home


def main() -> None:
    """Carry out one step; every foreseen error becomes one line."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    parser = argparse.ArgumentParser(description="Deploys the pipeline to Google Cloud.")
    parser.add_argument("step", choices=("bootstrap", "publish", "deploy"))
    parser.add_argument("--project", default="")
    parser.add_argument("--region", default="europe-west1")
    parser.add_argument("--environment", type=Environment, choices=list(Environment), default=Environment.SMALL)
    parser.add_argument("--values", type=Path, action="append", default=[], help="a further file of variables")
    parser.add_argument("--yes", action="store_true", help="answer every question with yes")
    options = parser.parse_args()
    conversation = Conversation(None if options.yes else sys.stdin.readline)
    try:
        home = stack_home(os.environ) or ROOT / ".pipeline"
        target = Target(options.project, options.region, home / "deploy" / (options.project or "-"))
        if options.step == "bootstrap":
            bootstrap(target, conversation)
        elif options.step == "publish":
            publish(target, ROOT / "dist", conversation)
        elif address := deploy(target, options.environment, options.values, conversation):
            sys.stdout.write(f"The dashboard: {address}\n")
    except (DeployError, FileNotFoundError, GoogleAPICallError, GoogleAuthError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
