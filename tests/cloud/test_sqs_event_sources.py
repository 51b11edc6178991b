"""Patch `sqs_event_sources`, and what MiniStack does right about queues."""

import json
import time


def send(queues, queue, identifier, **options):
    queues.send(queue, json.dumps({"id": identifier, **options}))


def test_a_poison_message_does_not_slow_its_queue_down(queues, log, name):
    send(queues, "Other", f"{name}-warm")
    log.wait_for(f"sqs#{name}-warm")
    send(queues, "Other", f"{name}-bad", **{"raise": True})
    log.wait_for(f"sqs#{name}-bad")

    sent = time.time()
    send(queues, "Other", f"{name}-good")
    assert float(log.wait_for(f"sqs#{name}-good")[0]["received"]) - sent < 0.6


def test_failed_messages_come_back_and_end_in_the_dead_letter_queue(queues, log, name):
    send(queues, "Work", f"{name}-good")
    send(queues, "Work", f"{name}-bad", fail=True)

    queues.receive("WorkDeadLetters", f"{name}-bad")
    receives = [entry["receives"] for entry in log.of(f"sqs#{name}-bad")]
    assert receives == ["1", "2"]
    assert len(log.of(f"sqs#{name}-good")) == 1


def test_an_unreadable_answer_is_a_failure_of_the_whole_batch(queues, log, name):
    send(queues, "Work", name, nonsense=True)

    queues.receive("WorkDeadLetters", name)
    assert len(log.of(f"sqs#{name}")) == 2


def test_concurrency_is_used_and_not_exceeded(queues, log, name):
    started = time.time()
    for number in range(12):
        send(queues, "Other", f"{name}-{number}", sleep=0.4, kind=name)
    entries = log.wait_for(name, count=12, seconds=20)

    assert time.time() - started < 12 * 0.4
    begins = [(float(entry["received"]), 1) for entry in entries]
    ends = [(float(entry["received"]) + 0.4, -1) for entry in entries]
    running = most = 0
    for _, change in sorted(begins + ends):
        running += change
        most = max(most, running)
    assert 2 <= most <= 4


def test_messages_of_several_queues_arrive_at_once(queues, log, name):
    for queue in ("Work", "Other"):
        send(queues, queue, f"{name}-{queue}-warm")
        log.wait_for(f"sqs#{name}-{queue}-warm")

    def latency(queue, number):
        sent = time.time()
        send(queues, queue, f"{name}-{queue}-{number}")
        return float(log.wait_for(f"sqs#{name}-{queue}-{number}")[0]["received"]) - sent

    for queue in ("Work", "Other"):
        assert sorted(latency(queue, number) for number in range(5))[2] < 0.1
