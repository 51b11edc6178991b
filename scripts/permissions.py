"""Write docs/permissions.md, the matrix of functions and permissions, or check that it is up to date.

python -m scripts.permissions docs/permissions.md
python -m scripts.permissions --check docs/permissions.md
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.permissions import customers
from tests.permissions.matrix import Permission, functions, permissions
from tests.permissions.proofs import EXEMPT, FORBIDDEN, askable, exemption, forbidden, proofs

NEEDED, EXEMPTED, DENIED, NOT_HELD = "**needed**", "exempt", "denied", "-"
INTRODUCTION = """\
# Permissions

Made by `scripts/permissions.py` from the policies (`.chalice/policy-*.json`) and from the table of proofs
(`tests/permissions/proofs.py`); `make check` fails where it is out of date.

On the local cloud, with IAM enforced:

- **needed**: the function holds it. `tests/permissions/test_needed.py` takes exactly this permission from its role, and
  the scenario that is named under the matrix fails, denied exactly this.
- exempt: the function holds it, and the local cloud does not enforce it; the reasons are at the end.
- denied: the function does not hold it. `tests/permissions/test_denied.py` asks for it with the role's credentials, and
  is denied.
- -: the function does not hold it, and the local cloud could not refuse it.

`tests/permissions/test_matrix.py` fails where a policy holds a permission without a proof, or a proof is left over.
"""


def main() -> int:
    """Write or check the document; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where the file differs, write nothing")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    text = "\n".join(document())
    if not arguments.check:
        arguments.file.write_text(text)
    elif not arguments.file.exists() or arguments.file.read_text() != text:
        sys.stderr.write(f"{arguments.file} is not what the policies make: `make permissions`\n")
        return 1
    return 0


def document() -> Iterator[str]:
    """Yield the document's lines."""
    yield INTRODUCTION
    yield from _matrix()
    yield from _scenarios()
    yield from _nobody()
    yield from _customers()
    yield from _exemptions()


def _matrix() -> Iterator[str]:
    names = list(functions())
    held = {name: permissions(name) for name in names}
    every = sorted({one for some in held.values() for one in some}, key=lambda one: (one.action, one.resource))
    yield "## Functions\n"
    yield f"| action | resource | {' | '.join(names)} |"
    yield f"|---|---|{'---|' * len(names)}"
    for one in every:
        cells = [_cell(one, held[name]) for name in names]
        yield f"| `{one.action}` | {one.resource} | {' | '.join(cells)} |"
    yield ""


def _cell(one: Permission, held: set[Permission]) -> str:
    if one not in held:
        return DENIED if askable(one) else NOT_HELD
    return EXEMPTED if exemption(one) else NEEDED


def _scenarios() -> Iterator[str]:
    yield "## What it is needed for: the scenario that fails without it (`tests/permissions/scenarios.py`)\n"
    yield "| function | scenario | permissions |"
    yield "|---|---|---|"
    for name in functions():
        by_scenario: dict[str, list[str]] = {}
        for one, scenario in proofs(name).items():
            by_scenario.setdefault(scenario, []).append(f"`{one.action}` {one.resource}")
        for scenario, texts in by_scenario.items():
            yield f"| {name} | {scenario} | {'; '.join(texts)} |"
    yield ""


def _nobody() -> Iterator[str]:
    yield "## What no function may do (`test_denied.py`)\n"
    for why, texts in FORBIDDEN.items():
        yield f"- {why}: {', '.join(f'`{text}`' for text in texts)}"
    yield f"\n{len(forbidden())} permissions, denied to each of {len(functions())} functions.\n"


def _customers() -> Iterator[str]:
    yield "## In customer accounts (`tests/permissions/test_customers.py`)\n"
    yield "The roles of `infra/customer-roles.yaml`, as each function gets them.\n"
    names = list(customers.SESSIONS)
    yield f"| action | {' | '.join(f'{function}, {role}' for function, role in names)} |"
    yield f"|---|{'---|' * len(names)}"
    for action in customers.ACTIONS:
        cells = [_customer_cell(action, customers.SESSIONS[name]) for name in names]
        yield f"| `{action}` | {' | '.join(cells)} |"
    yield ""
    for action, why in customers.EXEMPT.items():
        yield f"- `{action}`: {why}"
    yield ""


def _customer_cell(action: str, allowed: dict[str, str]) -> str:
    if action not in allowed:
        return DENIED
    return f"{NEEDED}: {scenario}" if (scenario := allowed[action]) else EXEMPTED


def _exemptions() -> Iterator[str]:
    yield "## Exempt\n"
    yield "| permission | why |"
    yield "|---|---|"
    for text, why in EXEMPT.items():
        yield f"| `{text}` | {why} |"
    yield ""


if __name__ == "__main__":
    raise SystemExit(main())
