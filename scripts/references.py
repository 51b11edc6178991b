"""Finds references that lead nowhere, in code, tests and documents.

    python -m scripts.references

Checked are requirements (R5.4) and properties (Property 3), decisions (ADR 9), relative links and their anchors in
Markdown, paths of this repository, and sections that are quoted by name (docs/architecture.md, "Work").
"""

import re
import subprocess  # nosec B404
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from posixpath import normpath

REQUIREMENTS = "docs/requirements.md"
READ = (".md", ".py", ".sh", ".toml", ".yaml", ".in", "Makefile")
EXEMPT = ("scripts/references.py", "tests/unit/test_references.py")  # they hold examples
ROOTS = ("", "chalicelib", "docs", "tests", "sandbox", "benchmarks")  # what a path may be relative to
MADE = ("build", "benchmarks/out", "sandbox/.state", ".chalice/deployments", "tests/conformance/recorded/answers.json")

PROSE = re.compile(r'""".*?"""|#[^\n]*', re.S)  # of Python: docstrings and comments
FENCE = re.compile(r"^ *```.*?^ *```", re.M | re.S)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")
REQUIREMENT = re.compile(r"\bR\d{1,2}(?:\.\d+)?\b")
DEFINED = re.compile(r"^## (R\d+) |^- \*\*(R\d+\.\d+)\*\* |^\| ((?:Property|Scenario) \d+) ", re.M)
CASE = re.compile(r"\b(?:Property|Scenario) \d+\b")
DECISION = re.compile(r"\bADRs? (\d+)")
QUOTED = re.compile(r"([\w./-]+\.md)`?(?:\]\([^)]*\))?,[\s#]+\"([^\"]+)\"")
PATH = re.compile(
    r"(?<![\w./:-])(?<!\]\()((?:[\w.-]+/)+[\w.-]+\.(?:md|py|sh|yaml|json|in)|[\w-]+\.(?:md|py))(?![\w/*])"
    r"|`(?!\./)([\w.-]+(?:/[\w.-]+)+/?)`"
)
UNRESOLVABLE = {
    r"\b[Tt]he seed\b|\(seed,|\bseed's\b": f"cite {REQUIREMENTS} (of random numbers: 'the random seed')",
    r"\b[Dd]ecisions? \d+": "cite it as 'ADR n'",
    r"\b(?:issue|item|requirement) #?\d+\b(?! [KM]B)": f"say what it is, or cite {REQUIREMENTS}",
    r"\(\d+ of \d+\)|\b(?:step|part) \d+ of \d+\b": "plans are not part of the repository: say what it is",
}


@dataclass(frozen=True)
class Dangling:
    """A reference that leads nowhere, where it is, and what to do about it."""

    path: str
    line: int
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: {self.advice}"


@dataclass(frozen=True)
class Repository:
    """The files of the repository, and the texts of those that are read."""

    files: frozenset[str]
    texts: Mapping[str, str] = field(repr=False)

    @cached_property
    def paths(self) -> frozenset[str]:
        """Files and folders."""
        return self.files | {str(parent) for name in self.files for parent in PurePosixPath(name).parents}

    @cached_property
    def names(self) -> frozenset[str]:
        """File names without their folders."""
        return frozenset(PurePosixPath(name).name for name in self.files)

    @cached_property
    def defined(self) -> frozenset[str]:
        """The requirements, properties and scenarios that are defined."""
        return frozenset(filter(None, (part for found in DEFINED.findall(self.texts[REQUIREMENTS]) for part in found)))

    @cached_property
    def decisions(self) -> frozenset[int]:
        """The numbers of decisions."""
        return frozenset(int(name[9:13]) for name in self.files if re.match(r"docs/adr/\d{4}-", name))

    def find(self, path: str, source: str) -> str | None:
        """Return the file or folder that `path`, written in the file `source`, means."""
        folders = (str(PurePosixPath(source).parent), *ROOTS)
        candidates = [normpath(f"{folder}/{path}" if folder else path) for folder in folders]
        return next((one for one in candidates if one in self.paths), None)

    def headings(self, path: str) -> frozenset[str]:
        """Return the headings of a document."""
        return frozenset(_plain(title) for title in HEADING.findall(FENCE.sub("", self.texts.get(path, ""))))


Rule = Callable[[Repository, str, str], Iterator[tuple[int, str, str]]]


def dangling(repository: Repository) -> list[Dangling]:
    """Return every reference that leads nowhere."""
    return [
        Dangling(path, text.count("\n", 0, position) + 1, what, advice)
        for path, text in sorted(repository.texts.items())
        if path not in EXEMPT
        for rule in RULES
        for position, what, advice in rule(repository, path, text)
    ]


def anchor(title: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", _plain(title).lower()).replace(" ", "-")


def _plain(title: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", title).replace("`", "").replace("*", "")


def _requirements(repository: Repository, _path: str, text: str) -> Iterator[tuple[int, str, str]]:
    for pattern in (REQUIREMENT, CASE):
        for found in pattern.finditer(text):
            if found[0] not in repository.defined:
                yield found.start(), f"{found[0]} is not defined", f"define it in {REQUIREMENTS}, or cite another"


def _decisions(repository: Repository, _path: str, text: str) -> Iterator[tuple[int, str, str]]:
    for found in DECISION.finditer(text):
        if int(found[1]) not in repository.decisions:
            yield found.start(), f"there is no {found[0]}", "see docs/adr/README.md"


def _links(repository: Repository, path: str, text: str) -> Iterator[tuple[int, str, str]]:
    if not path.endswith(".md"):
        return
    for found in LINK.finditer(FENCE.sub(_blank, text)):
        target, _, fragment = found[1].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        document = normpath(f"{PurePosixPath(path).parent}/{target}") if target else path
        if document not in repository.paths:
            yield found.start(), f"{found[1]} does not exist", "mend or remove the link"
        elif fragment and fragment not in map(anchor, repository.headings(document)):
            yield found.start(), f"{document} has no heading for #{fragment}", "link to a heading that it has"


def _paths(repository: Repository, path: str, text: str) -> Iterator[tuple[int, str, str]]:
    for found in PATH.finditer(_prose(text) if path.endswith(".py") else text):
        named = (found[1] or found[2]).rstrip("/")
        known = repository.find(named, path) or repository.find(f"{named}.py", path) or named in repository.names
        if not known and not named.startswith(MADE) and _of_this_repository(repository, path, named):
            yield found.start(), f"{named} does not exist", "write the path from the root of the repository"


def _of_this_repository(repository: Repository, source: str, named: str) -> bool:
    """Return whether a path looks like one of this repository: its first folder is one, or it names a document."""
    first, more, _ = named.partition("/")
    return repository.find(first, source) is not None if more else source.endswith(".md") or named.endswith(".md")


def _sections(repository: Repository, path: str, text: str) -> Iterator[tuple[int, str, str]]:
    for found in QUOTED.finditer(text):
        document, title = repository.find(found[1], path), re.sub(r"[\s#]+", " ", found[2])
        if document and title not in repository.headings(document):
            yield found.start(), f'{document} has no heading "{title}"', "quote a heading that it has"


def _unresolvable(_repository: Repository, _path: str, text: str) -> Iterator[tuple[int, str, str]]:
    for form, advice in UNRESOLVABLE.items():
        for found in re.finditer(form, text):
            yield found.start(), f"'{found[0]}' means nothing to a reader of this repository", advice


def _prose(code: str) -> str:
    """Return the docstrings and comments of Python code, where they are; everything else is blank."""
    kept, end = "", 0
    for found in PROSE.finditer(code):
        kept += re.sub(r"[^\n]", " ", code[end : found.start()]) + found[0]
        end = found.end()
    return kept


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


RULES: tuple[Rule, ...] = (_requirements, _decisions, _links, _paths, _sections, _unresolvable)


def read() -> Repository:
    """Read the repository in the working directory: what git tracks, and new files that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 # nosec
    files = frozenset(name for name in listed.splitlines() if Path(name).is_file())
    return Repository(files, {name: Path(name).read_text() for name in files if name.endswith(READ)})


def main() -> int:
    """Show what dangles: 1 where anything does."""
    found = dangling(read())
    for one in found:
        sys.stderr.write(f"{one}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
