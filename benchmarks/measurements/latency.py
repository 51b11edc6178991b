"""How soon a new staging server is extended and tagged, on the deployed stack, without waiting for a schedule."""

import time
from collections.abc import Callable
from datetime import datetime
from statistics import median

from benchmarks.context import Context
from benchmarks.deployed import deployed_stack
from benchmarks.figures import Figure, at_most
from chalicelib.adapters.dynamodb import unmarshal
from tests.integration.customers import KINDS, STAGING, TARGET, Customers, Server
from tests.integration.registrar import Registrar
from tests.integration.stack import Stack

TITLE = "From first sight to extended and tagged"
SMALL = False
KEYS = ("latency.first_byte_to_extended",)
SERVERS = 7
REGION = "eu-west-1"
TAGS = {"env": "prod", "team": "payments"}
LONGEST_SECONDS = 60
LOOK_SECONDS = 0.05


def run(context: Context) -> dict[str, Figure]:
    """Return the median over new servers, one after another."""
    with deployed_stack() as stack:
        customers = _customers(stack)
        _extended_after(stack, customers)  # warm: the region is active now, and each function has a worker
        seconds = []
        for _ in range(SERVERS):
            stack.settle()
            seconds.append(_extended_after(stack, customers))
            context.say(f"extended and tagged after {seconds[-1]:.1f} s")
    figure = Figure(
        median(seconds),
        "s",
        "from the start of the scan of the staging account that first lists a server to its extension carrying the EC2"
        f" tags, warm, with the stream's batching window of a second; median of {SERVERS} servers, local cloud",
        at_most(5),
        {"seconds": seconds},
    )
    return {"latency.first_byte_to_extended": figure}


def _customers(stack: Stack) -> Customers:
    outputs = stack.cloud.outputs
    configuration = stack.functions.get_function_configuration(FunctionName=stack.name("Operations"))
    credentials = {
        "AWS_ENDPOINT_URL": outputs.endpoint,
        "AWS_ACCESS_KEY_ID": outputs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": outputs.secret_access_key,
        "AWS_DEFAULT_REGION": outputs.region,
    }
    registrar = Registrar(configuration["Environment"]["Variables"] | credentials)
    customers = Customers(stack.cloud, registrar)
    for account_id, kind in KINDS.items():
        customers.create_roles(account_id, kind)
    customers.register()
    customers.join()
    registrar.close()
    customers.initialise(TARGET, REGION)
    return customers


def _extended_after(stack: Stack, customers: Customers) -> float:
    """Plant a server, scan its account, and return the seconds until it is extended and tagged."""
    (server,) = customers.plant(STAGING, REGION, tags=TAGS)
    scope = {"accountId": STAGING, "region": REGION}
    stack.operate("sync_source_server_inventory", scopes=[scope], wait=0)
    done = _when(lambda: _tagged(customers, server))
    key = {"sourceServerID": {"S": server.server_id}, "replicationRegion": {"S": REGION}}
    answer = stack.cloud.hub().client("dynamodb").get_item(TableName=stack.name("InventoryTable"), Key=key)
    return done - _epoch_seconds(unmarshal(answer["Item"])["firstSeen"])


def _tagged(customers: Customers, server: Server) -> bool:
    for record in customers.drs(TARGET, REGION).values():
        if record.get("stagingArea", {}).get("stagingSourceServerArn") == server.arn:
            return TAGS.items() <= record["tags"].items()
    return False


def _when(happened: Callable[[], bool]) -> float:
    """Return the time at which it has happened."""
    began = time.time()
    while not happened():
        if time.time() - began > LONGEST_SECONDS:
            raise TimeoutError(f"not within {LONGEST_SECONDS} s")
        time.sleep(LOOK_SECONDS)
    return time.time()


def _epoch_seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
