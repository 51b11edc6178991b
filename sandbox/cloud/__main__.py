"""Command line of the local cloud: `python -m sandbox.cloud up|down|status|template`."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from sandbox.cloud.arguments import Parser, port_number
from sandbox.cloud.launcher import AppSource, CloudError, CloudOptions, down, status, up
from sandbox.cloud.packaging import PackagingError, build


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status (0 done, 1 failed or, for `status`, nothing runs)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "up":
            print(json.dumps(up(_cloud(options), _app(options)).as_dict(), indent=2))
            return 0
        if options.command == "template":
            options.out.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(build(AppSource(), CloudOptions().packages)[0].template, options.out)
            return 0
        if options.command == "down":
            print("stopped" if down(options.state_dir) else "nothing was running")
            return 0
    except (CloudError, PackagingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    running = status(options.state_dir)
    print(json.dumps(running.as_dict(), indent=2) if running else "nothing is running")
    return 0 if running else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m sandbox.cloud", description="Run the stack on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    template = commands.add_parser("template", help="write the merged template that is deployed")
    template.add_argument("--out", type=Path, required=True)
    for name, summary in (("up", "start and deploy"), ("down", "stop"), ("status", "show what runs")):
        command = commands.add_parser(name, help=summary)
        command.add_argument("--state-dir", type=Path, default=CloudOptions.state_dir)
        if name == "up":
            _add_up_arguments(command)
    return parser


def _add_up_arguments(command: argparse.ArgumentParser) -> None:
    defaults = AppSource()
    command.add_argument("--port", type=port_number, default=None, help="0 picks a free one (default: SANDBOX_PORT)")
    command.add_argument("--param", action="append", default=[], metavar="Key=Value", help="template parameter")
    command.add_argument("--stage", default=defaults.stage)
    command.add_argument("--app-dir", type=Path, default=defaults.app_dir)
    command.add_argument("--merge-template", type=Path, default=None)
    command.add_argument("--stack-name", default=defaults.stack_name)
    command.add_argument("--no-deploy", action="store_true", help="start the empty cloud only")
    command.add_argument(
        "--slim", action="store_true", help="leave the requirements out of the package (faster cold starts)"
    )


def _cloud(options: argparse.Namespace) -> CloudOptions:
    return CloudOptions(port=_port(options), state_dir=options.state_dir)


def _port(options: argparse.Namespace) -> int:
    if options.port is not None:
        return int(options.port)
    said = os.environ.get("SANDBOX_PORT", str(CloudOptions.port))
    try:
        return port_number(said)
    except argparse.ArgumentTypeError as error:
        raise CloudError(f"SANDBOX_PORT: {error}") from None


def _app(options: argparse.Namespace) -> AppSource | None:
    if options.no_deploy:
        return None
    parameters = [parameter.partition("=") for parameter in options.param]
    if any(not separator for _, separator, _ in parameters):
        raise CloudError("--param wants Key=Value")
    return AppSource(
        app_dir=options.app_dir,
        stage=options.stage,
        merge_template=options.merge_template,
        stack_name=options.stack_name,
        parameters={key: value for key, _, value in parameters},
        slim=options.slim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
