"""The defects that are planted: each a change of one line of the source that a person could make.

`old` must occur exactly once in the module or package that `place` names. `seen_by` names the tests that are tried
first; where they do not notice, all unit and property tests are.
"""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCES = "chalicelib"


class Defect(NamedTuple):
    """One planted defect.

    Attributes:
        name: unique.
        place: a module, or a package where code may move between its modules, below `chalicelib`.
        old: the text that is replaced; it occurs once.
        new: what is put in its place.
        breaks: what no longer holds.
        seen_by: test files below `tests` that are tried first.
        in_chaos: whether the chaos run can meet it at all: the code that it changes takes part there.
    """

    name: str
    place: str
    old: str
    new: str
    breaks: str
    seen_by: tuple[str, ...] = ()
    in_chaos: bool = True

    def file(self, root: Path) -> Path:
        """Return the source file below `root` that the defect is planted in.

        Raises:
            ValueError: where the source is not what the table says.
        """
        place = root / SOURCES / self.place
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        counts = {file: file.read_text().count(self.old) for file in files}
        if sum(counts.values()) != 1:
            raise ValueError(f"{self.name}: {self.place} holds {sum(counts.values())} times, not once: {self.old!r}")
        return next(file for file, count in counts.items() if count)

    def apply(self, root: Path) -> str:
        """Plant the defect below `root`; return the text of the file before.

        Raises:
            ValueError: where the source is not what the table says.
        """
        file = self.file(root)
        text = file.read_text()
        file.write_text(text.replace(self.old, self.new))
        return text


_UNIT = "unit/test_{}.py".format

DEFECTS = [
    # --- services: inventory ---
    Defect(
        "a removal on purpose is forgotten",
        "domain",
        "if row.staging_status == EXTENDED and row.staging_source_server_arn:",
        "if False:",
        "an extension that was removed on purpose is made again",
        (_UNIT("inventory_sync"), _UNIT("staging_sync")),
    ),
    Defect(
        "a scan trusts the list of one that did not finish",
        "services",
        "if latest is not None and latest.epoch == work.epoch - 1:",
        "if latest is not None:",
        "what a scan wrote before it died is not acted upon",
        (_UNIT("inventory_sync"),),
    ),
    Defect(
        "an unfinished scan's changes call for nothing",
        "domain",
        "if changed or not state.complete or previous is None:",
        "if changed or previous is None:",
        "tags and extensions that a half-written scan called for are not asked for",
        (_UNIT("inventory_sync"),),
    ),
    Defect(
        "an origin that does not answer is forgotten",
        "services",
        'ec2_hash = digest(ec2_text) if ec2_text else before.ec2_hash if before else ""',
        'ec2_hash = digest(ec2_text) if ec2_text else ""',
        "what EC2 said earlier counts as changed where EC2 cannot be asked",
        (_UNIT("inventory_sync"),),
    ),
    Defect(
        "an account that is being removed is scanned",
        "services",
        "if account is None or account.status is AccountStatus.REMOVING:",
        "if account is None:",
        "an account is never removed",
        (_UNIT("accounts"), _UNIT("inventory_sync")),
    ),
    Defect(
        "a returned server stays buried",
        "domain",
        '"lastUpdated": moment, "deletedAt": None}',
        '"lastUpdated": moment}',
        "a server that is listed again keeps its tombstone",
        (_UNIT("inventory_sync"),),
    ),
    # --- services: tags ---
    Defect(
        "tags are written without a note",
        "services",
        "work.record_intent(_joined(kept, _intent(batch)))",
        "_intent(batch)",
        "a worker that dies after DRS took a tag leaves it without an owner",
        (_UNIT("tag_sync"),),
    ),
    Defect(
        "a run that failed counts as complete",
        "services",
        "tags_version=None if failures or unrecorded else scan.tags_version",
        "tags_version=scan.tags_version",
        "tags that could not be written are not tried again",
        (_UNIT("tag_sync"),),
    ),
    Defect(
        "a newer scan's row is overwritten by a tag run",
        "services",
        "values, seen_hash=plan.row.drs_hash)",
        "values)",
        "a row says what DRS no longer says, under the newer scan's name",
        (_UNIT("tag_sync"),),
    ),
    Defect(
        "a server that replicates back is tagged",
        "domain/tag_plan.py",
        "if row.replication_direction == FAILBACK:",
        "if row.replication_direction is None:",
        "tags of the recovered machine are put on the record of the way back",
        (_UNIT("tag_sync"),),
    ),
    Defect(
        "a note is not read",
        "domain",
        "written_of(row, intent.get(row.source_server_id, {}), scan_epoch)",
        "written_of(row, {}, scan_epoch)",
        "tags that a worker wrote before it died are nobody's",
        (_UNIT("tag_sync"),),
    ),
    # --- services: staging ---
    Defect(
        "a call never made counts as unclear",
        "services",
        "untagged = tagged = Effect.NONE",
        "untagged = tagged = Effect.UNCLEAR",
        "tags that others set in place of a call that was not made are removed",
        (_UNIT("tag_ownership"),),
    ),
    Defect(
        "the rules of a membership are not asked",
        "domain",
        "if admitted({**row.drs_tags, **row.source_tags}, rule.include_tags, rule.exclude_tags):",
        "if rule:",
        "servers are extended that the membership leaves out",
        (_UNIT("staging_sync"),),
    ),
    Defect(
        "the quota is not kept",
        "domain",
        "Share(dealt[:room][:most], over,",
        "Share(dealt[:most], over,",
        "more is extended than the target has room for",
        (_UNIT("staging_sync"),),
    ),
    Defect(
        "a dry run extends",
        "services",
        "            return _preview(target, survey, errors, choice)",
        "            _preview(target, survey, errors, choice)",
        "a dry run changes a customer's account",
        (_UNIT("staging_sync"),),
    ),
    Defect(
        "an inactive target is extended into",
        "services",
        "if account is None or not account.is_active:\n            raise Skip",
        "if account is None:\n            raise Skip",
        "an account is changed whose operator said that it takes no part",
        (_UNIT("accounts"), _UNIT("staging_sync")),
    ),
    Defect(
        "an extension that was made is not looked for",
        "services",
        "if made or choice.unlisted:",
        "if choice.unlisted:",
        "an extension shows, and is tagged, an interval later",
        (_UNIT("staging_sync"),),
    ),
    # --- services: planning, reacting, the work loop ---
    Defect(
        "idle regions are not looked at",
        "services",
        "if KINDS[kind].scans or work.work.scope.region in active]",
        "if work.work.scope.region in active]",
        "the first server of an idle region is never found",
        (_UNIT("planning"),),
    ),
    Defect(
        "wanted work of an idle region is left",
        "services",
        "chosen += [work for work, out in retired.results.items() if not out]",
        "chosen += []",
        "work that is wanted where a region has become idle waits for ever",
        (_UNIT("planning"),),
    ),
    Defect(
        "new servers call for no extension",
        "domain",
        "Follows(lambda scan: scan.servers_version, _targets_scopes",
        "Follows(lambda scan: 0, _targets_scopes",
        "a server that appears beside others is extended only by chance",
        (_UNIT("reactions"),),
    ),
    Defect(
        "changed tags call for nothing",
        "domain",
        "Follows(lambda scan: scan.tags_version, _own_scope",
        "Follows(lambda scan: 0, _own_scope",
        "changed tags wait for the hourly schedule",
        (_UNIT("reactions"),),
    ),
    Defect(
        "an older fold replaces a newer one",
        "services",
        "        if not folded.outdates(stored):\n            return stored\n        statuses.replace(stored, folded)",
        "        statuses.replace(stored, folded)\n        return folded",
        "two handlers that overlap leave the older status",
        (_UNIT("reactions"), _UNIT("events")),
    ),
    Defect(
        "more wanted meanwhile wakes nobody",
        "services",
        "        if more:\n",
        "        if more and outcome.unfinished:\n",
        "a request that comes during a run waits until its message would be lost",
        (_UNIT("resilience"), _UNIT("planning")),
    ),
    Defect(
        "failed work keeps its lease",
        "services",
        "            self._work_states.fail(",
        "            dict().get(",
        "work whose worker failed rests until the lease is over, and nobody sees why",
        (_UNIT("resilience"),),
    ),
    Defect(
        "work is not asked for before its message",
        "services",
        "requested = attempt_each(lambda work: self._work_states.request(work, again), work_ids)",
        "requested = attempt_each(lambda work: again, work_ids)",
        "a message finds nothing wanted",
        (_UNIT("planning"),),
    ),
    Defect(
        "an idle region is said to be idle from the cache",
        "services/active_region_filter.py",
        "if known is None or not known.active or known.version < version:",
        "if known is None:",
        "work for a region that has just become active is dropped",
        (_UNIT("active_region_filter"),),
    ),
    Defect(
        "a dead letter is deleted unread",
        "services/dead_letters.py",
        "(good if queue is not DeadLetterQueue.WORK or self._asked_again(one) else bad)",
        "good",
        "redriving deletes what it did not ask for",
        (_UNIT("maintenance"),),
    ),
    Defect(
        "the last look-ups of a scan are not made",
        "services",
        "for origin in list(self._waiting):",
        "for origin in list(self._waiting)[1:]:",
        "servers of one origin are never settled",
        (_UNIT("inventory_sync"),),
    ),
    Defect(
        "removal keeps the memberships of others",
        "services/accounts.py",
        "self._accounts.delete_membership(target_id, account_id)",
        "self._accounts.targets_of(target_id)",
        "a removed staging account stays a member of its targets",
        (_UNIT("accounts"),),
    ),
    # --- services that only answer: the chaos run does not ask them ---
    Defect(
        "a page reads on until it is full",
        "services/inventory_query.py",
        "if len(rows) == limit or examined == MOST_EXAMINED or size >= MOST_BYTES:",
        "if len(rows) == limit:",
        "a request reads without bound",
        (_UNIT("inventory_query"),),
        in_chaos=False,
    ),
    Defect(
        "a page token serves another query",
        "services/page_tokens.py",
        "if said.query != _digest(query):",
        "if not said.query:",
        "the pages of one query go on in another",
        (_UNIT("inventory_query"),),
        in_chaos=False,
    ),
    Defect(
        "work that broke off counts as fine",
        "services/work/runs.py",
        "error=state.last_error if state and not done else None,",
        "error=None,",
        "a run does not show why it does not end",
        (_UNIT("runs"),),
        in_chaos=False,
    ),
    Defect(
        "a record is believed that names another",
        "services/failback.py",
        "return found if found and found.reversed_direction_source_server_arn == row.arn else None",
        "return found",
        "a server's way back is told of a server that does not know it",
        (_UNIT("failback"),),
        in_chaos=False,
    ),
    # --- domain ---
    Defect(
        "keys of others are taken over by a tag limit",
        "domain/tags.py",
        "room = max(0, TAG_LIMIT - len(others))",
        "room = TAG_LIMIT",
        "a server with tags of others is asked to take more than 50",
        ("property/test_domain.py",),
    ),
    Defect(
        "tags that EC2 dropped stay",
        "domain/tags.py",
        "stale = {key for key in managed if key in present and key not in kept}",
        "stale = set[str]()",
        "a tag that was taken from the instance stays on the server",
        ("property/test_domain.py", _UNIT("tag_sync")),
    ),
    Defect(
        "a region adds up only the first account",
        "domain/regions.py",
        "server_count=sum(scan.server_count for scan in scans),",
        "server_count=max(scan.server_count for scan in scans),",
        "a region's count is not that of its accounts",
        ("property/test_domain.py",),
    ),
    Defect(
        "what is known of an origin is overwritten",
        "domain/topology.py",
        "if getattr(known, name).source is Source.UNKNOWN and",
        "if",
        "the originals of a server change when it is seen again",
        ("property/test_domain.py",),
    ),
    Defect(
        "refused servers are candidates",
        "domain/extension.py",
        "if arn not in done and (arn not in refused or refused[arn].due(now)))",
        "if arn not in done)",
        "what was removed on purpose, or refused, is tried on every tick",
        (_UNIT("staging_sync"), "property/test_domain.py"),
    ),
    Defect(
        "servers that are gone are kept",
        "domain/difference.py",
        "gone=set(known.keys() - listed.keys())",
        "gone=set()",
        "servers that DRS no longer lists are shown for ever",
        ("property/test_domain.py", _UNIT("inventory_sync")),
    ),
    Defect(
        "an idle scope is looked at a probe later",
        "domain/work.py",
        "return now + int(probe_interval * (0.5 + stable_fraction(",
        "return now + int(probe_interval * (1.5 + stable_fraction(",
        "an idle scope is looked at later than its interval says",
        ("property/test_domain.py",),
    ),
    Defect(
        "a scope that keeps failing is never put off",
        "domain/circuit.py",
        "doublings = min(max(0, failures - OPENS_AFTER + 1), MOST_DOUBLINGS)",
        "doublings = 0",
        "what keeps failing is called on every interval",
        ("property/test_domain.py", _UNIT("resilience")),
    ),
    Defect(
        "an extension in error may be extended once more",
        "domain/servers.py",
        "return self.staging_status in (EXTENDED, EXTENSION_ERROR)",
        "return self.staging_status == EXTENDED",
        "an extension in error is not seen as one",
        (_UNIT("staging_sync"), "property/test_domain.py"),
    ),
    Defect(
        "the history forgets where it began",
        "domain/history.py",
        "[history[0], *history[1 - MOST_EVENTS :]]",
        "history[-MOST_EVENTS:]",
        "the first event of a long history is lost",
        ("property/test_failback.py", _UNIT("failback")),
        in_chaos=False,
    ),
    # --- adapters ---
    Defect(
        "only a lease's first transaction is fenced",
        "adapters/fenced_writes.py",
        "[self._work_state.epoch_check(lease), *map(self._action, batch)])",
        "[*[self._work_state.epoch_check(lease)][: vars(self).setdefault(repr(lease), batch) is batch],"
        " *map(self._action, batch)])",
        "a worker whose lease is over goes on with the transactions after its first",
        (_UNIT("ports"),),
    ),
    Defect(
        "SQS's partial failures are ignored",
        "adapters/work_queue.py",
        '.get("Failed", [])',
        '.get("Refused", [])',
        "messages that SQS did not take count as sent",
        (_UNIT("adapters"), _UNIT("ports")),
    ),
    Defect(
        "the extensible list ends after a page",
        "adapters/drs.py",
        '    for page in pages:\n        yield from page["items"]\n',
        '    for page in pages:\n        yield from page["items"]\n        return\n',
        "servers of a large staging account are not extended",
        (_UNIT("adapters"),),
    ),
    Defect(
        "items are read eventually consistently",
        "adapters/dynamodb.py",
        "Key=marshal(key), ConsistentRead=True)",
        "Key=marshal(key))",
        "telemetry and accounts are read as they were a moment ago",
        (_UNIT("adapters"), _UNIT("ports")),
    ),
    Defect(
        "unprocessed keys are dropped",
        "adapters/dynamodb.py",
        "        if not left:\n            return found",
        "        return found",
        "rows that DynamoDB did not get to are taken for absent",
        (_UNIT("adapters"),),
    ),
    Defect(
        "the list of servers ends after a page",
        "adapters/drs.py",
        '            for page in pages:\n                yield from page["items"]\n',
        '            for page in pages:\n                yield from page["items"]\n                return\n',
        "servers of a large scope are buried",
        (_UNIT("adapters"),),
    ),
    Defect(
        "instances of one page only",
        "adapters/ec2.py",
        '                    for reservation in page["Reservations"]:',
        '                    for reservation in page["Reservations"][:1]:',
        "instances are said to be gone",
        (_UNIT("adapters"),),
    ),
    Defect(
        "throttling is an error like any other",
        "adapters/services.py",
        "**dict.fromkeys(THROTTLING_CODES, Throttled),",
        "",
        "a scope that slows us down is not seen as such",
        (_UNIT("adapters"), _UNIT("resilience")),
    ),
    Defect(
        "two workers hold one lease",
        "adapters/work_state_table.py",
        '" AND (attribute_not_exists(leaseUntil) OR leaseUntil < :now)"',
        '" AND (attribute_not_exists(leaseUntil) OR leaseUntil <> :now)"',
        "work is done by two at a time",
        (_UNIT("ports"),),
    ),
    Defect(
        "what was wanted meanwhile counts as done",
        "adapters/work_state_table.py",
        'self._fenced(lease, settled, {**values, **due}, also="wanted = :done", names=names)',
        "self._fenced(lease, settled, {**values, **due}, names=names)",
        "a request that comes during a run is never carried out",
        (_UNIT("ports"),),
    ),
    Defect(
        "two planners claim the same work",
        "adapters/work_state_table.py",
        '            "nextDueAt = :seen",\n            due.work,\n',
        '            "nextDueAt <> :one",\n            due.work,\n',
        "work is planned twice for one tick",
        (_UNIT("ports"),),
    ),
    Defect(
        "a region's status is written over a newer one",
        "adapters/region_status_table.py",
        'ConditionExpression="version = :seen" if stored else',
        'ConditionExpression="version >= :seen" if stored else',
        "an older fold replaces a newer one",
        (_UNIT("ports"),),
    ),
    Defect(
        "an account comes back while it is removed",
        "adapters/accounts_table.py",
        '"attribute_exists(accountId) AND #status <> :removing"',
        '"attribute_exists(accountId) AND (#status = :removing OR #status <> :removing)"',
        "an account that is on its way out can be changed",
        (_UNIT("ports"),),
    ),
    Defect(
        "a customer is entered without the ExternalId",
        "adapters/sessions.py",
        '    def assume() -> dict[str, str]:\n        secret = {"ExternalId": external_id} if external_id else {}',
        "    def assume() -> dict[str, str]:\n        secret: dict[str, str] = {}",
        "the confused deputy is not kept out",
        (_UNIT("adapters"),),
        in_chaos=False,
    ),
    # --- events ---
    Defect(
        "a message that failed counts as worked off",
        "events/queues.py",
        "        return False\n    return True",
        "        return True\n    return True",
        "work that failed comes back only when its message would have been lost",
        (_UNIT("events"),),
    ),
    Defect(
        "failing work is buried at once",
        "events/queues.py",
        "if received >= MOST_TRIES:",
        "if received:",
        "work that fails once goes to the dead-letter queue",
        (_UNIT("events"),),
    ),
    Defect(
        "a message begins when no time is left",
        "events/queues.py",
        "if seconds_left < LEAST_SECONDS:",
        "if seconds_left < 0:",
        "work is begun that its invocation cannot end",
        (_UNIT("events"),),
    ),
    Defect(
        "records of a region that failed count as done",
        "events/streams.py",
        "        return False\n    return True",
        "        return True\n    return True",
        "a change of a scope calls for nothing",
        (_UNIT("events"),),
    ),
    Defect(
        "the first record that failed is not named",
        "events/streams.py",
        "failed = {_sequence(some[0])",
        "failed = {_sequence(some[-1])",
        "Lambda goes on behind records that failed",
        (_UNIT("events"),),
    ),
    Defect(
        "a schedule plans another kind of work",
        "events/schedules.py",
        "planner.tick(WorkKind.STAGING)",
        "planner.tick(WorkKind.TAGS)",
        "staging accounts are not looked at",
        (_UNIT("events"),),
    ),
]
