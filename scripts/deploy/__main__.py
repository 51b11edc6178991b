"""Command line: `scripts/deploy.sh <dev|test|staging|prod> [options]`."""

import argparse
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloud.launcher import CloudOptions
from sandbox.cloud.packaging import PackagingError
from scripts.deploy import checks
from scripts.deploy.deployment import Ask, Deployment
from scripts.deploy.display import Display
from scripts.deploy.errors import DeployError
from scripts.deploy.release import package

STAGES = ("dev", "test", "staging", "prod")
ASKED = {"prod"}
PROJECT = "drs-active-regions"
UNDECIDED = 130


def main(arguments: list[str] | None = None) -> int:
    """Deploy; return 0 where the release runs and works, 1 where it does not."""
    options = _parser().parse_args(arguments)
    display = Display()
    try:
        _deploy(options, display)
    except (DeployError, PackagingError) as error:
        display.bad(f"\n{error}")
        return 1
    except (BotoCoreError, ClientError) as error:
        display.bad(f"\nAWS: {error}. Account and region come from the usual places (AWS_PROFILE, AWS_REGION, ...)")
        return 1
    except KeyboardInterrupt:
        display.bad("\ninterrupted: what CloudFormation has begun goes on without this script; look at the stack")
        return UNDECIDED
    return 0


def _deploy(options: argparse.Namespace, display: Display) -> None:
    ask = _asking(options.stage, yes=options.yes)
    parameters = _parameters(options.param)
    if options.lambda_only and parameters:
        raise DeployError("--lambda-only changes no parameters")
    name = options.stack_name or f"{PROJECT}-{options.stage}"
    deployment = Deployment(boto3.Session(), name, _bucket(options.bucket), display)
    deployment.describe()
    if options.skip_checks:
        display.warn("checks and tests are left out")
    else:
        display.step("checks and tests")
        checks.check()
    display.step("packaging")
    release = package(options.stage, CloudOptions().packages)
    deployment.validate(release)
    if options.validate_only:
        return
    if options.lambda_only:
        deployment.replace_code(release, ask)
    else:
        deployment.deploy(release, parameters, ask, may_replace=options.allow_replacement)


def _bucket(given: str | None) -> str:
    bucket = given or os.environ.get("DEPLOY_BUCKET")
    if not bucket:
        raise DeployError("where does the package go? --bucket or DEPLOY_BUCKET names a private bucket of this account")
    return bucket


def _parameters(given: list[str]) -> dict[str, str]:
    pairs = [parameter.partition("=") for parameter in given]
    if wrong := [key for key, separator, _ in pairs if not separator]:
        raise DeployError(f"--param wants Key=Value, not {wrong[0]}")
    return {key: value for key, _, value in pairs}


def _asking(stage: str, *, yes: bool) -> Ask:
    """Return how to ask before something is changed: only stages that matter ask.

    Raises:
        DeployError: there is nobody to ask.
    """
    if yes or stage not in ASKED:
        return lambda _question: True
    if not sys.stdin.isatty():
        raise DeployError(
            f"{stage} asks before it changes anything, and there is no terminal: --yes answers in advance"
        )
    return lambda question: input(f"\n{question} Type the stage's name to go on: ").strip() == stage


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/deploy.sh", description="Check, package, deploy, try, go back.")
    parser.add_argument("stage", choices=STAGES)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--validate-only", action="store_true", help="checks, tests and template; deploys nothing")
    only.add_argument("--lambda-only", action="store_true", help="the functions' code alone, in less than a minute")
    parser.add_argument("--bucket", help="S3 bucket for code and templates (environment: DEPLOY_BUCKET)")
    parser.add_argument(
        "--param", action="append", default=[], metavar="Key=Value", help="template parameter, repeatable"
    )
    parser.add_argument("--stack-name", help=f"default: {PROJECT}-<stage>")
    parser.add_argument("--yes", action="store_true", help="do not ask, not even before prod")
    parser.add_argument("--allow-replacement", action="store_true", help="tables and queues may be replaced or removed")
    parser.add_argument("--skip-checks", action="store_true", help="where they have just been run, as in CI")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
