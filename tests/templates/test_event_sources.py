"""Queues, the stream and the schedules: what happens to what fails."""

import re

import pytest

WORK_QUEUES = {"InventoryWork", "TagsWork", "StagingWork"}
WORKERS = {"InventoryWork": "InventoryWorker", "TagsWork": "TagsWorker", "StagingWork": "StagingWorker"}
SCHEDULES = {
    "InventorySchedule": ("Inventory", "EnableInventorySync"),
    "TagsSchedule": ("Tags", "EnableTagSync"),
    "StagingSchedule": ("Staging", "EnableStagingAccountSync"),
}
DEFAULT_MINUTES = {"Inventory": 15, "Tags": 60, "Staging": 5}
LAMBDA_VISIBILITY_FACTOR = 6  # AWS Lambda, "Using Lambda with Amazon SQS": at least six times the timeout


@pytest.fixture(scope="module")
def sources(events):
    """Queue event sources by queue."""
    found = {}
    for function, event in events("SQS"):
        queue = re.fullmatch(r"\$\{(\w+)\.Arn\}", event["Queue"]["Fn::Sub"]).group(1)
        assert queue not in found, "two functions read one queue"
        found[queue] = (function, event)
    return found


def test_each_work_queue_wakes_its_worker(sources):
    assert {queue: function for queue, (function, _) in sources.items()} == WORKERS


def test_workers_name_the_messages_that_failed(sources):
    for queue, (_, event) in sources.items():
        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"], queue


def test_the_number_of_workers_is_bounded_by_a_parameter(sources, template):
    for queue, (_, event) in sources.items():
        parameter = template["Parameters"][event["ScalingConfig"]["MaximumConcurrency"]["Ref"]]
        assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1000), queue
        assert 2 <= parameter["Default"] <= 100


def test_a_message_stays_hidden_for_six_times_the_workers_timeout(sources, functions, resources):
    queues = resources("AWS::SQS::Queue")
    for queue, (function, _) in sources.items():
        assert queues[queue]["VisibilityTimeout"] >= LAMBDA_VISIBILITY_FACTOR * functions[function]["Timeout"]


def test_the_product_knows_how_long_a_message_stays_hidden(sources, template, resources):
    told = template["Globals"]["Function"]["Environment"]["Variables"]["QUEUE_VISIBILITY_SECONDS"]
    assert {resources("AWS::SQS::Queue")[queue]["VisibilityTimeout"] for queue in sources} == {int(told)}


def test_what_fails_again_and_again_goes_to_the_dead_letter_queue(sources, resources):
    queues = resources("AWS::SQS::Queue")
    for queue in sources:
        policy = queues[queue]["RedrivePolicy"]
        assert policy["deadLetterTargetArn"] == {"Fn::GetAtt": ["WorkDeadLetters", "Arn"]}
        assert 3 <= policy["maxReceiveCount"] <= 10


def test_lambda_lets_the_workers_send_themselves_further_work(functions, translated):
    """Lambda stops a function after about 16 messages to itself ("recursive loop detection") unless it is allowed."""
    allowed = {name for name, function in functions.items() if function.get("RecursiveLoop") == "Allow"}
    assert allowed == set(WORKERS.values())
    deployed = translated["Resources"].items()
    assert {name for name, one in deployed if one["Properties"].get("RecursiveLoop") == "Allow"} == allowed


def test_dead_letters_are_kept_as_long_as_possible(resources):
    for name, queue in resources("AWS::SQS::Queue").items():
        if name not in WORK_QUEUES:
            assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600, name


def test_work_queues_are_standard_queues(resources):
    assert not any(queue.get("FifoQueue") for queue in resources("AWS::SQS::Queue").values())


def test_the_stream_of_scan_records_is_read_from_its_beginning_and_failures_are_kept(events):
    [(function, event)] = events("DynamoDB")
    assert function == "ScanStream"
    assert event["Stream"] == {"Fn::GetAtt": ["ScanTable", "StreamArn"]}
    assert event["StartingPosition"] == "TRIM_HORIZON"
    assert event["BisectBatchOnFunctionError"] is True
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 1 <= event["MaximumRetryAttempts"] <= 20  # the default is without end: one bad record would block the shard
    assert event["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["StreamFailures", "Arn"]},
    }


def test_the_rate_of_each_schedule_is_a_parameter(events, template):
    found = dict(events("Schedule"))
    assert set(found) == set(SCHEDULES)
    for function, (kind, _) in SCHEDULES.items():
        condition, each_minute, otherwise = found[function]["Schedule"]["Fn::If"]
        parameter = f"{kind}IntervalMinutes"
        assert template["Conditions"][condition] == {"Fn::Equals": [{"Ref": parameter}, 1]}
        assert each_minute == "rate(1 minute)"
        assert otherwise == {"Fn::Sub": f"rate(${{{parameter}}} minutes)"}
        assert template["Parameters"][parameter]["Default"] == DEFAULT_MINUTES[kind]
        assert template["Parameters"][parameter]["MinValue"] == 1


def test_each_schedule_can_be_switched_off(events, template):
    found = dict(events("Schedule"))
    for function, (_, parameter) in SCHEDULES.items():
        condition, on, off = found[function]["State"]["Fn::If"]
        assert (on, off) == ("ENABLED", "DISABLED")
        assert template["Conditions"][condition] == {"Fn::Equals": [{"Ref": parameter}, "true"]}
        assert template["Parameters"][parameter]["Default"] == "true"


def test_a_tick_that_fails_is_kept(events, functions):
    failures = {"Fn::GetAtt": ["ScheduleFailures", "Arn"]}
    for function, event in events("Schedule"):
        assert event["DeadLetterConfig"] == {"Arn": failures}, function
        assert functions[function]["DeadLetterQueue"] == {"Type": "SQS", "TargetArn": failures}, function


def test_event_bridge_may_write_to_the_queue_of_failed_ticks(resources):
    policy = resources("AWS::SQS::QueuePolicy")["ScheduleFailuresPolicy"]
    [statement] = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    assert policy["Queues"] == [{"Ref": "ScheduleFailures"}]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Resource"] == {"Fn::GetAtt": ["ScheduleFailures", "Arn"]}
    rules = [{"Fn::GetAtt": [f"{function}{function}Event", "Arn"]} for function in SCHEDULES]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        "ArnEquals": {"aws:SourceArn": rules},
    }


def test_filtering_is_on_unless_it_is_switched_off(template):
    assert template["Parameters"]["EnableRegionFiltering"]["Default"] == "true"
    given = template["Globals"]["Function"]["Environment"]["Variables"]
    assert given["ENABLE_REGION_FILTERING"] == {"Ref": "EnableRegionFiltering"}
