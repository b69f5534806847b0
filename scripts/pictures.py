"""Draws each dashboard as an SVG from the results of its panels' queries: `make pictures`.

The company is the one of `collected.py`. Needs the environment of `scripts/stack.py` and the binaries of the dev profile.
The pictures show what the panels contain. They are not what Kibana draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import panels
from cluster import Cluster, ClusterError
from collected import NotCollected, collected
from company import CompanyError
from deployment import ROOT, TARGET, DeploymentError
from panels import Dashboard, Panel, Result

NOTE = "Drawn by this project from the results of the panels' queries. Not a screenshot of Kibana."
UNIT_WIDTH, UNIT_HEIGHT, GAP = 26, 20, 8
HEADER, CONTROL_HEIGHT = 74, 32
ROW, PADDING = 19, 12
# Average width of a character, in parts of the font size.
CHARACTER = 0.56
COLORS = ["#16808a", "#e07b39", "#7a5ea8", "#c24d6d", "#5a8f3c", "#8a6d3b", "#4067b0", "#a3a3a3"]
MOST_BARS = 20
# Longest text that widens its column.
WIDEST_COLUMN = 46
FONT = "font-family=\"Inter, 'Segoe UI', Helvetica, Arial, sans-serif\""


@dataclass
class Canvas:
    """The elements of an SVG."""

    elements: list[str] = field(default_factory=list)

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", radius: float = 0) -> None:
        self.elements.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"'
                             f' fill="{fill}" stroke="{stroke}"/>')

    def line(self, points: list[tuple[float, float]], color: str) -> None:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.elements.append(f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="2"/>')

    def text(self, x: float, y: float, words: object, size: float = 12, color: str = "#343741", anchor: str = "start",
             weight: str = "normal", width: float | None = None) -> None:
        """Writes a text, cut to `width`."""
        words = clipped(str(words), width, size)
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}"'
                             f' font-weight="{weight}">{escape(words)}</text>')


def clipped(words: str, width: float | None, size: float) -> str:
    fits = len(words) if width is None else max(1, int(width / (size * CHARACTER)))
    return words if len(words) <= fits else words[: fits - 1] + "…"


def shown(value: object, is_date: bool = False) -> str:
    """Writes a value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if is_date:
        return str(value)[:16].replace("T", " ")
    if isinstance(value, float):
        return f"{value:,.1f}".removesuffix(".0")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


# --- charts --------------------------------------------------------------------------------------------------------


def draw_metric(canvas: Canvas, panel: Panel, result: Result, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    column = panel.columns[0]
    canvas.text(x + width / 2, y + height * 0.6, shown(result.values(column.field)[0]), 34, "#16808a", "middle", "bold")
    canvas.text(x + width / 2, y + height * 0.6 + 26, column.label, 12, "#69707d", "middle")


def widths(panel: Panel, cells: list[list[str]], total: float) -> list[float]:
    """Divides the width among the columns, by the longest text of each."""
    longest = [max(len(column.label) + 1, *(len(row[index]) for row in cells)) for index, column in enumerate(panel.columns)]
    shares = [min(length, WIDEST_COLUMN) ** 0.85 for length in longest]
    return [total * share / sum(shares) for share in shares]


def draw_table(canvas: Canvas, panel: Panel, result: Result, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    fits = int(height // ROW) - 2
    columns = panel.columns
    cells = [[shown(row[result.names.index(column.field)], column.is_date) for column in columns] for row in result.rows[:fits]]
    left = x
    for index, (column, room) in enumerate(zip(columns, widths(panel, cells, width))):
        edge, anchor = (left + room - 8, "end") if column.is_metric else (left, "start")
        canvas.text(edge, y + ROW * 0.7, column.label, 11, "#69707d", anchor, "bold", room - 8)
        for number, row in enumerate(cells, 1):
            canvas.text(edge, y + ROW * (number + 0.75), row[index], 11.5, "#343741", anchor, width=room - 8)
        left += room
    for number in range(1, len(cells) + 1):
        canvas.rectangle(x, y + ROW * number, width, 0.5, "#e3e6ea")
    rest = len(result.rows) - len(cells)
    if rest > 0:
        canvas.text(x, y + ROW * (len(cells) + 1.75), f"and {rest:,} more rows", 11, "#98a2b3")


def draw_axis(canvas: Canvas, box: tuple[float, float, float, float], highest: float, ends: list[str]) -> None:
    x, y, width, height = box
    for part in (0, 0.5, 1):
        canvas.rectangle(x, y + height * (1 - part), width, 0.5, "#d3dae6")
        canvas.text(x - 6, y + height * (1 - part) + 4, shown(round(highest * part, 1)), 10, "#98a2b3", "end")
    for number, end in enumerate(ends):
        canvas.text(x + width * number / max(1, len(ends) - 1), y + height + 16, end, 10, "#98a2b3",
                    ("start", "middle", "end")[0 if number == 0 else 2])


def draw_legend(canvas: Canvas, x: float, y: float, width: float, names: list[str]) -> None:
    left = x
    for number, word in enumerate(names):
        room = len(word) * 11 * CHARACTER + 28
        if left + room > x + width:
            canvas.text(left, y + 9, f"and {len(names) - number} more", 11, "#98a2b3")
            return
        canvas.rectangle(left, y, 10, 10, COLORS[number % len(COLORS)], radius=2)
        canvas.text(left + 14, y + 9, word, 11)
        left += room


def draw_stacked_bars(canvas: Canvas, panel: Panel, result: Result, box: tuple[float, float, float, float]) -> None:
    """Draws bars over time, divided by the breakdown."""
    x, y, width, height = box
    time, breakdown, metric = panel.columns
    times = sorted(set(result.values(time.field)))
    sums: dict[str, float] = {}
    for name, value in zip(result.values(breakdown.field), result.values(metric.field)):
        sums[name] = sums.get(name, 0) + value
    names = sorted(sums, key=sums.get, reverse=True)
    found = {(t, n): v for t, n, v in zip(*(result.values(c.field) for c in (time, breakdown, metric)))}
    highest = max(sum(found.get((t, n), 0) for n in names) for t in times) or 1
    plot = (x + 40, y + 4, width - 44, height - 48)
    draw_axis(canvas, plot, highest, [shown(times[0], True), shown(times[-1], True)])
    room = plot[2] / len(times)
    for position, moment in enumerate(times):
        top = plot[1] + plot[3]
        for number, name in enumerate(names):
            tall = plot[3] * found.get((moment, name), 0) / highest
            if tall:
                top -= tall
                canvas.rectangle(plot[0] + room * position + room * 0.1, top, room * 0.8, tall, COLORS[number % len(COLORS)])
    draw_legend(canvas, plot[0], y + height - 14, plot[2], names)


def draw_bars(canvas: Canvas, panel: Panel, result: Result, box: tuple[float, float, float, float]) -> None:
    """Draws one bar for each value of the dimension."""
    x, y, width, height = box
    dimension, metric = panel.columns
    bars = list(zip(result.values(dimension.field), result.values(metric.field)))[:MOST_BARS]
    room, highest = height / len(bars), max(value for _, value in bars) or 1
    for number, (name, value) in enumerate(bars):
        top = y + room * number
        canvas.text(x, top + room * 0.72, name, min(11, room * 0.8), width=width * 0.3)
        canvas.rectangle(x + width * 0.32, top + room * 0.15, width * 0.6 * value / highest, room * 0.7, COLORS[0], radius=1)
        canvas.text(x + width * (0.32 + 0.6 * value / highest) + 4, top + room * 0.72, shown(value), min(11, room * 0.8), "#69707d")


def draw_lines(canvas: Canvas, panel: Panel, result: Result, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    time, *metrics = panel.columns
    times = result.values(time.field)
    highest = max(value or 0 for metric in metrics for value in result.values(metric.field)) or 1
    plot = (x + 40, y + 4, width - 44, height - 48)
    draw_axis(canvas, plot, highest, [shown(times[0], True), shown(times[-1], True)])
    for number, metric in enumerate(metrics):
        points = [(plot[0] + plot[2] * (position / max(1, len(times) - 1)), plot[1] + plot[3] * (1 - (value or 0) / highest))
                  for position, value in enumerate(result.values(metric.field))]
        canvas.line(points, COLORS[number])
    draw_legend(canvas, plot[0], y + height - 14, plot[2], [metric.label for metric in metrics])


def draw_links(canvas: Canvas, panel: Panel, box: tuple[float, float, float, float]) -> None:
    x, y, _, height = box
    for number, link in enumerate(panel.source["links"]["items"]):
        color = "#343741" if link["dashboard"] == panel.dashboard else "#16808a"
        canvas.text(x + 110 * number, y + height / 2 + 5, link["label"], 13, color, weight="bold")


def draw_panel(canvas: Canvas, panel: Panel, result: Result | None, top: float) -> None:
    column, row, width, height = panel.place
    x, y = column * UNIT_WIDTH + GAP, top + row * UNIT_HEIGHT
    canvas.rectangle(x, y, width * UNIT_WIDTH - GAP, height * UNIT_HEIGHT - GAP, "#ffffff", "#d3dae6", 6)
    box = (x + PADDING, y + PADDING, width * UNIT_WIDTH - GAP - 2 * PADDING, height * UNIT_HEIGHT - GAP - 2 * PADDING)
    if result is None:
        draw_links(canvas, panel, box)
        return
    if not panel.is_title_hidden:
        canvas.text(box[0], box[1] + 9, panel.title, 13, weight="bold", width=box[2])
        box = (box[0], box[1] + 22, box[2], box[3] - 22)
    if panel.kind == "metric":
        draw_metric(canvas, panel, result, box)
    elif panel.kind == "datatable":
        draw_table(canvas, panel, result, box)
    elif panel.kind == "line":
        draw_lines(canvas, panel, result, box)
    elif len(panel.columns) == 2:
        draw_bars(canvas, panel, result, box)
    else:
        draw_stacked_bars(canvas, panel, result, box)


def draw(dashboard: Dashboard, results: dict[str, Result]) -> str:
    """Returns the SVG of a dashboard. `results` has the result of each panel with a query, by its title and kind."""
    canvas = Canvas()
    canvas.text(GAP, 26, dashboard.title, 18, weight="bold")
    canvas.text(GAP, 46, dashboard.source["description"], 12, "#69707d")
    canvas.text(GAP, 64, NOTE, 11, "#bd271e")
    for number, label in enumerate(dashboard.controls):
        canvas.rectangle(GAP + number * 190, HEADER, 182, CONTROL_HEIGHT - 8, "#f1f4fa", "#d3dae6", 4)
        canvas.text(GAP + number * 190 + 10, HEADER + 16, f"{label}: any", 12, "#69707d")
    top = HEADER + CONTROL_HEIGHT + GAP
    for panel in dashboard.panels:
        draw_panel(canvas, panel, results.get(f"{panel.title} {panel.kind}"), top)
    width = 48 * UNIT_WIDTH + GAP
    height = top + max(y + h for _, y, _, h in (panel.place for panel in dashboard.panels)) * UNIT_HEIGHT
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {FONT}>',
             f"<title>{escape(dashboard.title)}. {NOTE}</title>", f'<rect width="{width}" height="{height}" fill="#f7f8fc"/>']
    return "\n".join([*lines, *canvas.elements, "</svg>", ""])


def main() -> int:
    binaries = TARGET / "debug"
    cluster, namespace = Cluster(), "default"
    try:
        print("==> copying a company of the simulator", flush=True)
        with collected(binaries / "lastpass-simulator", binaries / "bootstrap", cluster, namespace, "lastpass-pictures"):
            for dashboard in panels.dashboards():
                end = datetime.now(UTC)
                only = [{"term": {"data_stream.namespace": namespace}}]
                results = {f"{panel.title} {panel.kind}": panels.run(cluster, panel.query, end - dashboard.span, end, only)
                           for panel in dashboard.panels if panel.query}
                file = ROOT / "docs" / f"dashboard-{dashboard.id.removeprefix('lastpass-elastic-')}.svg"
                file.write_text(draw(dashboard, results))
                print(f"==> {file.relative_to(ROOT)}: {file.stat().st_size:,} bytes", flush=True)
    except (ClusterError, CompanyError, DeploymentError, NotCollected) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
