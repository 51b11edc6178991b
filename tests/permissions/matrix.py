"""Which function holds which permission, as the policy files say it; pure, shared with `scripts/permissions.py`."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

POLICIES = Path(__file__).parents[2] / ".chalice"
CONFIG = POLICIES / "config.json"


class Permission(NamedTuple):
    """One action on one resource; resources are named as in the template: `AccountsTable/index/KindIndex`."""

    action: str
    resource: str


class Grant(NamedTuple):
    """A permission, the statement that gives it, and the resource as the policy file writes it."""

    permission: Permission
    sid: str


def functions() -> dict[str, Path]:
    """Return the policy file of each function, by the function's name (without project and stage)."""
    stage = json.loads(CONFIG.read_text())["stages"]["dev"]
    files = {
        name.replace("_", "-"): function.get("iam_policy_file", stage["iam_policy_file"])
        for name, function in stage["lambda_functions"].items()
    }
    return {name.removesuffix("-handler"): POLICIES / file for name, file in sorted(files.items())}


def grants(function: str) -> list[Grant]:
    """Return what a function's policy grants, permission by permission."""
    return [
        Grant(Permission(action, resource_name(resource)), statement["Sid"])
        for statement in json.loads(functions()[function].read_text())["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]


def permissions(function: str) -> set[Permission]:
    """Return what a function's policy grants."""
    return {grant.permission for grant in grants(function)}


def resource_name(resource: Any) -> str:
    """Return the name of a resource as a policy file writes it."""
    if resource == "*":
        return "*"
    if "Fn::GetAtt" in resource:
        name, attribute = resource["Fn::GetAtt"]
        return name if attribute == "Arn" else f"{name}/stream"
    text = str(resource["Fn::Sub"])
    if role := re.search(r":role/\$\{(\w+)RoleName\}$", text):
        return f"{role[1].lower()} roles"
    if ":log-group:" in text:
        return "its log"
    return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", text)
