"""Prints the figures of the structure, and fails where one is worse than its mark.

    python -m scripts.structure [--list]

Files, classes and functions are those of `chalicelib`; what a kind of work touches is counted in the whole repository.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mccabe import PathGraphingAstVisitor

ROOT = Path(__file__).parents[1]
PRODUCT = ROOT / "chalicelib"
EVERYWHERE = ("chalicelib", ".chalice", "tests", "sandbox", "benchmarks", "scripts")
SUFFIXES = (".py", ".json", ".yaml")
KINDS = [
    re.compile(rf"WorkKind\.{kind.upper()}|(?i:{kind}_(queue_url|interval|worker|schedule))|{kind.title()}Work")
    for kind in ("inventory", "tags", "staging")
]
"""What names each kind of work: a file that names them all has to name a further one."""
AN_EVENT = re.compile(r"RegionChange\b|RegionChanges|FollowUpWork|region_changes")


class Figure(NamedTuple):
    """One figure: its value, and the most that it may be."""

    name: str
    value: int
    most: int

    @property
    def met(self) -> bool:
        """Whether the value keeps within its mark."""
        return self.value <= self.most


def figures() -> list[Figure]:
    """Return the figures of the structure."""
    lines = sorted(len(path.read_text().splitlines()) for path in PRODUCT.rglob("*.py"))
    trees = [ast.parse(path.read_text()) for path in PRODUCT.rglob("*.py")]
    parameters = sorted(count for tree in trees for count in _constructor_parameters(tree))
    methods = [count for tree in trees for count in _methods(tree)]
    complexity = sorted(value for tree in trees for value in _complexities(tree))
    return [
        Figure("largest file (lines)", lines[-1], 300),
        Figure("p95 file (lines)", percentile(lines, 95), 250),
        Figure("files over 350 lines", sum(count > 350 for count in lines), 0),
        Figure("constructor parameters, p95", percentile(parameters, 95), 6),
        Figure("constructor parameters, max", parameters[-1], 7),
        Figure("classes with more than 10 methods", sum(count > 10 for count in methods), 4),
        Figure("cyclomatic complexity, p95", percentile(complexity, 95), 7),
        Figure("patches of modules in the chaos run", _patches(ROOT / "tests" / "chaos" / "composition.py"), 0),
        Figure("product files that name every kind of work", len(_naming(KINDS, ("chalicelib",))), 9),
        Figure("all files that name every kind of work", len(_naming(KINDS, EVERYWHERE)), 29),
        Figure("product files that know of region changes", len(_naming([AN_EVENT], ("chalicelib",))), 10),
    ]


def percentile(values: list[int], percent: int) -> int:
    """Return the value that `percent` of the sorted `values` do not exceed."""
    return values[min(len(values) - 1, len(values) * percent // 100)]


def _constructor_parameters(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield len(node.args.args) + len(node.args.kwonlyargs) - 1


def _methods(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not _is_port(node):
            yield sum(isinstance(member, ast.FunctionDef) for member in node.body)


def _is_port(node: ast.ClassDef) -> bool:
    """Return whether a class only names what others have: a protocol, or a wiring of properties."""
    if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
        return True
    members = [member for member in node.body if isinstance(member, ast.FunctionDef) and member.name != "__init__"]
    wired = [member for member in members if any("cached_property" in ast.dump(one) for one in member.decorator_list)]
    return bool(members) and len(wired) >= len(members) - 1


def _complexities(tree: ast.AST) -> Iterator[int]:
    visitor = PathGraphingAstVisitor()
    visitor.preorder(tree, visitor)
    for graph in visitor.graphs.values():
        yield graph.complexity()


def _patches(path: Path) -> int:
    return len(re.findall(r"\bsetattr\((?!self)", path.read_text()))


def _naming(patterns: list[re.Pattern[str]], folders: tuple[str, ...]) -> list[Path]:
    """Return the files in `folders` in which each of `patterns` is found."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.*")) if path.suffix in SUFFIXES]
    return [path for path in files if all(pattern.search(path.read_text()) for pattern in patterns)]


def main() -> int:
    """Print the figures; return 1 where one is worse than its mark."""
    parser = argparse.ArgumentParser(prog="python -m scripts.structure", description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="list the files that name every kind of work")
    options = parser.parse_args()
    found = figures()
    for figure in found:
        print(f"{'ok ' if figure.met else 'BAD'} {figure.name:<52}{figure.value:>5}  at most {figure.most}")
    if options.list:
        for path in _naming(KINDS, EVERYWHERE):
            print(f"    {path.relative_to(ROOT)}")
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
