"""Pictures of the figures, into the output folder."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

GROWING = {"calls": "calls", "written": "items written", "seconds": "seconds"}
OURS, OTHERS = "#1f6f8b", "#b0b8bf"
DOTS = 130  # per inch


def hour(out: Path, fleet: str, calls: dict[str, float]) -> None:
    """Draw the calls of one hour, one bar per way."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    names, values = list(calls)[::-1], list(calls.values())[::-1]
    bars = axes.barh(names, values, color=[OURS if name == "this product" else OTHERS for name in names], height=0.6)
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=4)
    axes.set_title(f"DRS and EC2 calls in one hour of schedules, fleet {fleet}", loc="left")
    axes.set_xlim(0, max(values) * 1.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "hour.png", dpi=DOTS)


def growth(out: Path, scopes: list[int], costs: dict[str, list[float]]) -> None:
    """Draw the cost of a quiet cycle against active scopes, each beside a line of slope 1."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, len(costs))
    for place, (name, values) in zip(axes, costs.items(), strict=True):
        place.loglog(scopes, values, "o-", color=OURS, label="measured")
        line = [values[0] * size / scopes[0] for size in scopes]
        place.loglog(scopes, line, "--", color=OTHERS, label="in proportion")
        place.set_title(GROWING[name], loc="left")
        place.set_xlabel("active scopes")
        place.set_xticks(scopes, [str(size) for size in scopes])
        place.set_yticks(values, [f"{value:,.0f}" if value >= 10 else f"{value:.2f}" for value in values])
        place.minorticks_off()
        place.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.suptitle("A quiet inventory cycle", x=0.01, ha="left")
    figure.savefig(out / "growth.png", dpi=DOTS)


def package(out: Path, parts: dict[str, int], total: int) -> None:
    """Draw what each part of the deployment package costs, the largest first."""
    shown = sorted(parts.items(), key=lambda part: part[1])[-10:]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    colours = [OURS if name in ("chalicelib", "app") else OTHERS for name, _ in shown]
    bars = axes.barh([name for name, _ in shown], [size / 1000 for _, size in shown], color=colours, height=0.6)
    axes.bar_label(bars, labels=[f"{size / 1000:,.0f}" for _, size in shown], padding=4)
    axes.set_title(f"Deployment package: kilobytes of {total / 1e6:.1f} MB, by part", loc="left")
    axes.set_xlim(0, shown[-1][1] / 1000 * 1.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "package.png", dpi=DOTS)
