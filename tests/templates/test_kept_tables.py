"""The template of a stage that keeps its tables."""

import json

import pytest

TABLE = "AWS::DynamoDB::Table"


@pytest.fixture(scope="module")
def deployed(protected_template_file):
    return json.loads(protected_template_file.read_text())


def test_every_table_is_kept_and_locked(deployed):
    tables = [resource for resource in deployed["Resources"].values() if resource["Type"] == TABLE]
    assert tables
    for table in tables:
        assert table["DeletionPolicy"] == "RetainExceptOnCreate"
        assert table["UpdateReplacePolicy"] == "Retain"
        assert table["Properties"]["DeletionProtectionEnabled"] is True


def test_nothing_but_the_tables_and_the_place_of_the_code_differs(template, deployed):
    def rest(resources):
        return {
            name: {key: value for key, value in resource["Properties"].items() if key != "CodeUri"}
            for name, resource in resources.items()
            if resource["Type"] != TABLE
        }

    assert rest(deployed["Resources"]) == rest(template["Resources"])
