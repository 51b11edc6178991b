"""Command line: `scripts/accept.sh [options]`."""

import argparse
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from scripts.accept.hub import Hub
from scripts.accept.recording import Recorder
from scripts.accept.steps import Acceptance, Accounts
from scripts.accept.verdicts import Ask, Outcome, Verdict, exit_status, verdicts

STYLES = {Outcome.OK: "green", Outcome.FAILED: "red", Outcome.NOT_TRIED: "yellow"}


def main(arguments: list[str] | None = None) -> int:
    """Try the hub; return 0 where no step failed, 1 where one did."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    recorder = Recorder()
    try:
        acceptance = _acceptance(options, recorder)
    except (BotoCoreError, ClientError) as error:
        console.print(Text(f"AWS: {error}", style="red"), soft_wrap=True)
        return 1
    found = []
    for verdict in verdicts(acceptance.steps(), _asking(yes=options.yes)):
        found.append(verdict)
        _show(console, verdict)
    if options.record:
        console.print(f"{len(recorder.answers)} answers recorded in {recorder.write(options.record)}", soft_wrap=True)
    counted = [sum(verdict.outcome is outcome for verdict in found) for outcome in Outcome]
    console.print(", ".join(f"{count} {outcome}" for count, outcome in zip(counted, Outcome, strict=True)))
    return exit_status(found)


def _acceptance(options: argparse.Namespace, recorder: Recorder) -> Acceptance:
    hub = boto3.Session()
    accounts = Accounts(
        ids=options.account,
        regions=options.region,
        region=options.server_region or hub.region_name,
        target=_watched(options.target_profile, recorder),
        staging=_watched(options.staging_profile, recorder),
        staging_server_arn=options.staging_server_arn,
        server_arn=options.server_arn,
    )
    return Acceptance(Hub(hub, options.stack_name), accounts, options.patience)


def _watched(profile: str | None, recorder: Recorder) -> boto3.Session | None:
    return recorder.watch(boto3.Session(profile_name=profile)) if profile else None


def _show(console: Console, verdict: Verdict) -> None:
    text = f"{verdict.outcome:<10}{verdict.step}: {verdict.told}"
    console.print(Text(text, style=STYLES[verdict.outcome]), soft_wrap=True)


def _asking(*, yes: bool) -> Ask:
    """Return how to ask; where nobody can be asked, nothing is agreed to."""
    if yes:
        return lambda _question: True
    if not sys.stdin.isatty():
        return lambda _question: False
    return lambda question: input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/accept.sh",
        description="Try a deployed hub with its accounts. The hub's credentials come from the usual places.",
    )
    parser.add_argument("--stack-name", default="drs-active-regions-dev", help="default: drs-active-regions-dev")
    parser.add_argument("--account", action="append", default=[], metavar="ID", help="repeatable; default: all")
    parser.add_argument("--region", action="append", default=[], help="to scan; repeatable; default: all")
    parser.add_argument(
        "--server-region", help="where pages are probed and answers recorded; default: the hub's region"
    )
    parser.add_argument("--target-profile", metavar="PROFILE", help="AWS profile of the operator in the target account")
    parser.add_argument("--staging-profile", metavar="PROFILE", help="the same in the staging account; reads only")
    parser.add_argument("--staging-server-arn", metavar="ARN", help="disposable staging server to extend")
    parser.add_argument("--server-arn", metavar="ARN", help="disposable server of the target to tag")
    parser.add_argument("--record", type=Path, metavar="DIR", help="write redacted answers of DRS, EC2 and STS")
    parser.add_argument("--patience", type=float, default=1800.0, metavar="SECONDS", help="for a run; default: 1800")
    parser.add_argument("--yes", action="store_true", help="do not ask: everything is agreed to")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
