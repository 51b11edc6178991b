"""DRS active regions: a complete, fresh inventory of AWS Elastic Disaster Recovery with the fewest possible calls.

The map, in the order of the data:

    EventBridge schedules            chalicelib/events/schedules.py      15 min inventory, 1 h tags, 5 min staging
        | planner: due work of active regions                            chalicelib/services/work/planner.py
        v
    work-state, SQS                  chalicelib/events/queues.py         one message per (kind, account, region)
        | runner: lease, epoch, guards, result, due time                 chalicelib/services/work/runner.py
        v
    inventory worker                 chalicelib/services/sync/inventory.py
        | scans (scope_scanner.py, instance_lookup.py), compares (domain/server_changes.py)
        | writes changed servers, last the scan record
        v
    DynamoDB stream                  chalicelib/events/streams.py
        | folds region status, tells subscribers                         chalicelib/services/region_changes.py
        | requests the work that follows from a scan                     chalicelib/services/sync/follow_up.py
        v
    tag worker, staging worker       chalicelib/services/sync/tags.py, staging.py

    REST                             chalicelib/api/                     one module and blueprint per resource
    direct invocation                chalicelib/events/operations.py     {"operation": ...}
        | both from one table of operations                              chalicelib/api/table.py
    account-probe                    chalicelib/events/probe.py          enters customer accounts for the API
    maintenance                      chalicelib/events/maintenance.py    redrives dead letters, reconciles the tables

What a kind of work is stands in `chalicelib/domain/kinds.py`. `chalicelib/services/work` is the engine, which knows no
DRS; each worker in `chalicelib/services/sync` observes, plans in `chalicelib/domain`, and applies the plan.
`chalicelib/domain` is pure; `chalicelib/adapters` alone speaks to AWS; `chalicelib/container.py` wires the two.
Imports point one way: api, events -> container -> services, adapters; services -> domain; adapters -> domain.
"""

from chalice import Chalice

from chalicelib.api import openapi, table
from chalicelib.events import maintenance, operations, probe, queues, schedules, streams

app = Chalice(app_name="drs-active-regions")
for module in (*table.RESOURCES, schedules, queues, streams, operations, probe, maintenance):
    app.register_blueprint(module.blueprint)
app.register_blueprint(openapi.routes_of(table.OPERATIONS.values()))
