"""Cold starts: what the import of each function's handler costs, and its first answer, against boto3's own."""

from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.built import Built, empty_tables
from benchmarks.context import Context
from benchmarks.figures import Figure, at_most
from tests.packaging.on_lambda import EVENTS, logical

TITLE = "Cold starts"
SMALL = True
KEYS = ("cold_start.*",)
ROUNDS, SMALL_ROUNDS = 9, 3
API = "api_handler"
READS_A_TABLE = {API: 1}
"""Which of a function's events to answer first, where it is not the first: one that asks AWS."""

IMPORT = """
import time
began = time.process_time()
import {module}
print("SECONDS", time.process_time() - began)
"""
FIRST_ANSWER = """
import importlib, json, time
class Context:
    function_name, memory_limit_in_mb, aws_request_id = "function", 512, "1"
    invoked_function_arn = "arn:aws:lambda:us-east-1:111111111111:function:function"
    log_group_name = log_stream_name = "log"
    def get_remaining_time_in_millis(self):
        return 300000
event = json.load(sys.stdin)
began = time.process_time()
getattr(importlib.import_module("{module}"), "{name}")(event, Context())
print("SECONDS", time.process_time() - began)
"""
FIRST_ITEM = """
import time
began = time.process_time()
import boto3
boto3.client("dynamodb").get_item(TableName="accounts", Key={"accountId": {"S": "1"}, "record": {"S": "ACCOUNT"}})
print("SECONDS", time.process_time() - began)
"""


def run(context: Context) -> dict[str, Figure]:
    """Return the ratios, by function."""
    built = Built(context)
    rounds = SMALL_ROUNDS if context.small else ROUNDS
    context.say(f"{len(built.handlers)} functions and boto3 in fresh interpreters, {rounds} rounds")
    return {**_imports(built, rounds), **({} if context.small else _first_answers(built, rounds))}


def _imports(built: Built, rounds: int) -> dict[str, Figure]:
    modules = sorted({_module(built, name) for name in EVENTS})
    programs = {name: IMPORT.format(module=name) for name in ("boto3", *modules)}
    seconds = _rounds(rounds, {name: partial(built.run, text) for name, text in programs.items()})
    how = "in a fresh interpreter, from the built package, boto3 beside it; CPU time, median of {} pairs"
    figures = {}
    for name in EVENTS:
        module = _module(built, name)
        figures[f"cold_start.{name}"] = Figure(
            _ratio(seconds[module], seconds["boto3"]),
            "x import boto3",
            f"import of {module} {how.format(rounds)}",
            at_most(1.35 if name == API else 1.5),
            {"seconds": median(seconds[module]), "boto3 seconds": median(seconds["boto3"])},
        )
    return figures


def _first_answers(built: Built, rounds: int) -> dict[str, Figure]:
    """Return import and first answer together: what is imported later is not saved."""
    with empty_tables() as port:
        runs = {"boto3": partial(built.run, FIRST_ITEM, port)}
        for name, cases in EVENTS.items():
            module, _, function = built.handlers[logical(name)].rpartition(".")
            program = FIRST_ANSWER.replace("{module}", module).replace("{name}", function)
            runs[name] = partial(built.run, program, port, cases[READS_A_TABLE.get(name, 0)][0])
        seconds = _rounds(rounds, runs)
    return {
        f"cold_start.{name}.first_answer": Figure(
            _ratio(seconds[name], seconds["boto3"]),
            "x boto3's first item",
            "import and the first answer of a stack with empty tables, over import boto3 and its first GetItem;"
            f" CPU time, median of {rounds} pairs",
            details={"seconds": median(seconds[name]), "boto3 seconds": median(seconds["boto3"])},
        )
        for name in EVENTS
    }


def _rounds(rounds: int, runs: dict[str, Callable[[], str]]) -> dict[str, list[float]]:
    """Return the seconds that each of `runs` printed, round by round, so that pairs met the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run_once in runs.items():
            (line,) = [line for line in run_once().splitlines() if line.startswith("SECONDS")]
            seconds[name].append(float(line.split()[1]))
    return seconds


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def _module(built: Built, name: str) -> str:
    return built.handlers[logical(name)].rpartition(".")[0]
