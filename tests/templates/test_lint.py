import sys
from subprocess import run

import pytest

from sandbox.cloud.packaging import REPO

OWN = sorted((REPO / "infra").glob("*.y*ml"))


def lint(*templates):
    command = [sys.executable, "-c", "from cfnlint.runner import main; main()", *map(str, templates)]
    return run(command, capture_output=True, text=True, check=False, cwd=REPO)


def test_the_merged_template_has_no_finding(template_file):
    done = lint(template_file)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_template_of_stages_that_keep_their_tables_has_no_finding(protected_template_file):
    done = lint(protected_template_file)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_the_templates_of_customer_accounts_have_no_finding(path):
    done = lint(path)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_finds_what_is_wrong(template_file, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(template_file.read_text().replace("BillingMode: PAY_PER_REQUEST", "BillingMode: PAY_PER_WISH", 1))
    assert lint(broken).returncode != 0
