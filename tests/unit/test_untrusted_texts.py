"""What strangers write reaches no terminal as it is: in error bodies and in logs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.answers import error_body
from chalicelib.domain.texts import neutral
from chalicelib.errors import InvalidRequest
from chalicelib.observability import logger

HOSTILE = st.text(st.sampled_from("a\x1b\x07\x85\x9b\u202e\u2066\u2028\ufeff\n\t\ud800"), max_size=12)


@given(message=HOSTILE, details=st.lists(st.fixed_dictionaries({"field": HOSTILE, "problem": HOSTILE}), max_size=40))
def test_an_error_body_is_bounded_and_neutral(message, details):
    body, status = error_body(InvalidRequest(message, details))
    assert status == 400
    assert body["message"] == neutral(message)
    texts = [text for one in body["details"] or [] for text in one.values()]
    assert all(neutral(text) == text for text in texts)
    assert len(body["details"] or []) <= 21
    if len(details) > 20:
        assert body["details"][-1] == {"field": "...", "problem": f"{len(details) - 20} more"}


@given(HOSTILE)
def test_a_log_line_is_one_line_without_control_characters(text):
    record = {"message": text, "problems": [{text: text}], "request": {"name": text}}
    line = logger.registered_formatter.json_serializer(record)
    assert line == neutral(line)
    told = json.loads(line)
    assert told["message"] == neutral(text, lines=True)
    assert told["problems"] == [{neutral(text): neutral(text, lines=True)}]
