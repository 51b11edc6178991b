"""Servers through the API: every filter gives exactly what is so; tombstones by ID only; capacity."""

from itertools import combinations

import pytest

from sandbox.fleet.evidence import read_truth

REGION, OTHER = "eu-west-1", "us-east-1"
REQUIRED = ("sourceServerID", "replicationRegion", "replicationState", "hostname", "sourceAccountId", "sourceTags")
FILTERS = (
    "region",
    "accountId",
    "sourceAccountId",
    "stagingAccountId",
    "hostname",
    "replicationState",
    "minCpuCores",
    "minRamBytes",
    "tag",
)


class Known:
    """A server as the simulated services know it, by the names of the filters."""

    def __init__(self, server, instance):
        properties = server.record["sourceProperties"]
        self.server_id = server.server_id
        self.place = (server.place[1], server.place[0], server.server_id)
        self.tags = {**server.tags, **(instance["tags"] if instance else {})}
        self.values = {
            "region": server.place[1],
            "accountId": server.place[0],
            "sourceAccountId": server.origin.get("originAccountID"),
            "stagingAccountId": server.staging["stagingAccountID"],
            "hostname": server.hostname,
            "replicationState": server.state,
            "minCpuCores": sum(cpu["cores"] for cpu in properties["cpus"]),
            "minRamBytes": properties["ramBytes"],
            "tag": next((f"{key}:{value}" for key, value in self.tags.items()), None),
        }

    def fits(self, name, value):
        if name == "tag":
            key, _, wanted = value.partition(":")
            return self.tags.get(key) == wanted
        if name.startswith("min"):
            return self.values[name] >= value
        return self.values[name] == value


@pytest.fixture(scope="module")
def known(deployed, fleet):
    """Every server of the fleet, as it is so."""
    truth = read_truth(deployed.cloud)
    accounts = {account.account_id for account in fleet.accounts}
    return [Known(server, truth.instance_of(server)) for server in truth.servers() if server.place[0] in accounts]


@pytest.fixture(scope="module")
def ours(fleet, api):
    """Ask for servers; those of other tests' accounts are left out."""
    accounts = {account.account_id for account in fleet.accounts}

    def asked(**filters):
        return [server for server in api.servers(**filters) if server["accountId"] in accounts]

    return asked


def ids(servers):
    return sorted(server["sourceServerID"] for server in servers)


def expected(known, filters):
    return sorted(one.server_id for one in known if all(one.fits(*part) for part in filters.items()))


def told(known, *names):
    """Return what the filters of `names` may be asked for: the values of each server that has all of them."""
    found = {tuple(one.values[name] for name in names) for one in known}
    return [dict(zip(names, values, strict=True)) for values in sorted(found, key=str) if None not in values]


# --- filters ---


def test_without_a_filter_every_server_comes_once_by_region_account_and_id(known, ours):
    found = ours()
    places = [(one["replicationRegion"], one["accountId"], one["sourceServerID"]) for one in found]
    assert places == sorted(one.place for one in known)


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_gives_exactly_what_is_so(known, ours, name):
    cases = told(known, name)[:6]
    assert cases
    for filters in cases:
        assert ids(ours(**filters)) == expected(known, filters), filters


@pytest.mark.parametrize("names", list(combinations(FILTERS, 2)), ids="+".join)
def test_two_filters_give_what_fits_both(known, ours, names):
    cases = told(known, *names)
    assert cases
    one, other = cases[0], cases[-1]
    crossed = {names[0]: one[names[0]], names[1]: other[names[1]]}  # may fit nothing
    for filters in (other, crossed):
        assert ids(ours(**filters)) == expected(known, filters), filters


def test_all_filters_together_find_the_server_that_they_describe(known, ours):
    filters = told(known, *FILTERS)[0]
    assert expected(known, filters)
    assert ids(ours(**filters)) == expected(known, filters)


def test_all_of_several_tags_must_match(known, ours):
    one = next(one for one in known if len(one.tags) >= 3)
    tags = [f"{key}:{value}" for key, value in list(one.tags.items())[:3]]
    wanted = sorted(other.server_id for other in known if all(other.fits("tag", tag) for tag in tags))
    assert ids(ours(tag=tags)) == wanted
    assert ours(tag=[tags[0], "no-such-key:x"]) == []


@pytest.mark.parametrize("limit", [3, 7, 200])
def test_pages_of_any_size_give_the_same(known, ours, limit):
    state = {"replicationState": "CONTINUOUS"}
    assert ids(ours(limit=limit)) == sorted(one.server_id for one in known)
    assert ids(ours(limit=limit, **state)) == expected(known, state)


@pytest.mark.parametrize("filters", [{"hostname": "nobody"}, {"region": "sa-east-1"}, {"minCpuCores": 999}])
def test_what_nothing_fits_is_an_empty_page(api, filters):
    assert api.servers(**filters) == []


def test_every_record_carries_the_required_fields_and_says_how_fresh_it_is(api, fleet):
    for page in api.pages(limit=200):
        assert page["source"] == "inventory"
        scopes = {(one["accountId"], one["region"]): one for one in page["scopes"]}
        for server in page["servers"]:
            assert set(REQUIRED) <= server.keys()
            scope = scopes[server["accountId"], server["replicationRegion"]]
            assert (scope["fresh"], scope["reason"]) == (True, None)
            assert scope["asOf"]


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"tag": "no-colon"}, "tag"),
        ({"minCpuCores": "-1"}, "minCpuCores"),
        ({"minRamBytes": "much"}, "minRamBytes"),
        ({"hostname": ""}, "hostname"),
        ({"replicationState": "fine"}, "replicationState"),
        ({"stagingAccountId": "12"}, "stagingAccountId"),
        ({"region": ["eu-west-1", "us-east-1"]}, "region"),
        ({"tag": [f"k{number}:v" for number in range(11)]}, "tag"),
        ({"account_id": "222222222222"}, "account_id"),
    ],
)
def test_a_filter_that_does_not_fit_is_refused_by_name(api, filters, field):
    answer = api.expect(400, "GET", "servers", **filters)
    assert answer["message"].startswith(f"{field}:")


def test_a_token_of_another_query_is_refused(api):
    token = api.get("servers", limit=1)["nextToken"]
    answer = api.expect(400, "GET", "servers", limit=1, region=REGION, nextToken=token)
    assert answer["message"].startswith("nextToken:")


# --- one server ---


@pytest.fixture(scope="module")
def buried(api, deployed, customers):
    """An account with one living server and one that DRS lists no more: account and both IDs."""
    customer = customers.make(eu_west_1=2)
    api.expect(201, "POST", "accounts", {**customer.registration, "scanNow": False})
    scope = (customer.account_id, REGION)
    deployed.scan(scope)
    living, dead = [server["sourceServerID"] for server in api.servers(accountId=customer.account_id)]
    which = {"accountId": customer.account_id, "region": REGION, "sourceServerID": dead, "remove": True}
    deployed.cloud.control("PATCH", "/servers", {"servers": [which]})
    deployed.scan(scope)
    return customer.account_id, living, dead


def test_a_tombstone_is_in_no_list(api, buried):
    account_id, living, dead = buried
    hostname = api.get(f"servers/{dead}")["server"]["hostname"]
    for filters in ({"accountId": account_id}, {"region": REGION, "accountId": account_id}):
        assert ids(api.servers(**filters)) == [living]
    assert api.servers(hostname=hostname) == []
    assert dead not in ids(api.servers(stagingAccountId=account_id))


def test_a_tombstone_is_told_by_its_id_and_keeps_its_topology(api, buried):
    account_id, _, dead = buried
    told = api.get(f"servers/{dead}")
    topology = api.get(f"servers/{dead}/failback-topology")

    assert told["server"]["deletedAt"] == topology["deletedAt"] is not None
    assert topology["topology"]["originalReplicationAccountId"]["value"] == account_id
    assert [event["kind"] for event in topology["history"]] == ["FIRST_SEEN", "DELETED"]
    [of_name] = api.get("failback-topologies", hostname=told["server"]["hostname"])["topologies"]
    assert of_name == topology


def test_a_living_server_is_told_by_its_id(api, buried):
    _, living, _ = buried
    told = api.get(f"servers/{living}")
    assert (told["server"]["deletedAt"], told["scope"]["fresh"]) == (None, True)


@pytest.mark.parametrize("path", ["servers/s-fffffffffffffffff", "servers/s-fffffffffffffffff/failback-topology"])
def test_an_unknown_server_is_not_found(api, path):
    assert api.expect(404, "GET", path)["error"] == "NOT_FOUND"


def test_an_unknown_name_is_not_found(api):
    assert api.expect(404, "GET", "failback-topologies", hostname="nobody")["error"] == "NOT_FOUND"


# --- regions ---


def test_an_account_s_active_regions_are_those_in_which_it_holds_servers(api, fleet, known):
    for account in fleet.accounts:
        held = sorted({one.values["region"] for one in known if one.values["accountId"] == account.account_id})
        assert sorted(api.get("regions/active", accountId=account.account_id)["regions"]) == held


def test_a_region_is_told_account_by_account(api, fleet, known):
    region = known[0].values["region"]
    told = api.get(f"regions/{region}")
    counts = {one["accountId"]: one["serverCount"] for one in told["accounts"]}
    for account in fleet.accounts:
        held = [one for one in known if (one.values["accountId"], one.values["region"]) == (account.account_id, region)]
        assert counts.get(account.account_id, 0) == len(held)
    assert told["status"]["serverCount"] == sum(counts.values())


def test_a_region_that_was_never_scanned_is_not_found(api):
    assert api.expect(404, "GET", "regions/xx-nowhere-1")["error"] == "NOT_FOUND"


# --- capacity ---


@pytest.fixture(scope="module")
def crowded(api, deployed, customers):
    """An account with 250 and with 200 servers, one more each that does not replicate, and a scope that fails."""
    customer = customers.make(ap_southeast_1=250, ap_northeast_1=200)
    customers.plant(customer.account_id, "ap-southeast-1", 1, state="DISCONNECTED")
    customers.plant(customer.account_id, "ap-northeast-1", 1, state="STOPPED")
    api.expect(201, "POST", "accounts", {**customer.registration, "scanNow": False})
    deployed.fault(service="drs", account=customer.account_id, region="ap-south-1", error="InternalServerException")
    deployed.scan(*[(customer.account_id, region) for region in ("ap-southeast-1", "ap-northeast-1", "ap-south-1")])
    deployed.heal()
    return customer


def test_capacity_is_what_replicates_into_the_account_against_three_hundred(api, crowded):
    own = {one["region"]: one for one in api.get(f"accounts/{crowded.account_id}/capacity")["own"]}
    shown = {
        region: (own[region]["replicating"], own[region]["limit"], own[region]["free"], own[region]["band"])
        for region in ("ap-southeast-1", "ap-northeast-1")
    }
    assert shown == {"ap-southeast-1": (250, 300, 50, "CRITICAL"), "ap-northeast-1": (200, 300, 100, "INFO")}


def test_a_scope_that_fails_and_was_never_scanned_is_unknown_not_empty(api, crowded):
    own = {one["region"]: one for one in api.get(f"accounts/{crowded.account_id}/capacity")["own"]}
    [listed] = [
        one for one in api.get("capacity", region="ap-south-1")["scopes"] if one["accountId"] == crowded.account_id
    ]
    for one in (own["ap-south-1"], listed):
        assert (one["state"], one["replicating"], one["free"], one["band"]) == ("ERROR", None, None, "UNKNOWN")


def test_a_scope_that_fails_is_among_all_capacities(api, deployed, crowded):
    """Nobody can say that it holds nothing."""
    deployed.recycle("APIHandler")  # which remembers the regions' status for a minute
    found = {(one["accountId"], one["region"]) for one in api.get("capacity")["scopes"]}
    assert (crowded.account_id, "ap-south-1") in found


def test_all_capacities_are_those_of_the_truth(api, fleet, known, deployed):
    truth = read_truth(deployed.cloud)
    accounts = {account.account_id for account in fleet.accounts}
    replicating, held = {}, set()
    for server in truth.servers():
        held.add(server.place)
        counts = not server.extends and server.state not in ("DISCONNECTED", "STOPPED")
        replicating[server.place] = replicating.get(server.place, 0) + counts
    found = {
        (one["accountId"], one["region"]): one["replicating"]
        for one in api.get("capacity")["scopes"]
        if one["accountId"] in accounts
    }
    assert found == {place: replicating[place] for place in held if place[0] in accounts}


def test_a_target_s_capacity_tells_its_staging_accounts_apart(api, fleet, deployed):
    truth = read_truth(deployed.cloud)
    [target] = [account.account_id for account in fleet.accounts if account.kind == "target"]
    told = api.get(f"accounts/{target}/capacity")
    extended = {server.extends for server in truth.servers() if server.extends and server.place[0] == target}
    members = {one.staging for one in fleet.memberships if one.target == target}

    assert {one["accountId"] for one in told["own"]} <= {target}
    assert {one["accountId"] for one in told["staging"]} == members
    for need in told["extensionNeeds"]:
        here = [server for server in truth.servers() if server.place[1] == need["region"]]
        originals = {one.arn for one in here if one.place[0] in members and one.direction != "FAILBACK"}
        in_target = [one for one in here if one.place[0] == target]
        assert (need["waiting"], need["held"]) == (len(originals - extended), len(in_target)), need
