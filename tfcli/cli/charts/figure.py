"""A chart as a figure of matplotlib, which only the extra `tfcli[plot]` brings.

Lines are labeled at their ends. Colors can be told apart with any kind of color vision, on white
and on black; runs differ in their markers too.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

    from tfcli.cli.charts.chart import Chart, Curve

# Each color on a light ground and on a dark one. How far apart they stay under simulated color
# blindness is tested in tests/cli/test_figure.py.
COLORS = (
    ("#1f5fd0", "#6f93ff"),
    ("#c8430a", "#f06a2a"),
    ("#159a86", "#7fe3c6"),
    ("#5b2a66", "#c583b8"),
    ("#9a7fe0", "#f0dc4e"),
)
MARKERS = "o^sDvPX"
GROUND = ("#ffffff", "#14171b")
INK = ("#1c2128", "#e6e9ed")
FAINT = ("#59626d", "#9aa4af")
GRID = ("#e4e7eb", "#2a2f36")


@dataclass(frozen=True)
class Layout:
    """Size of a figure in points (1/72 inch), and what fits in it.

    Attributes:
        max_label: characters of a run's name.
        values: whether there is room for the last loss beside the name.
        ticks: about how many ticks the x axis has.

    """

    width: float
    height: float
    font_size: float
    margin: float
    max_label: int
    values: bool
    ticks: int


FILE = Layout(640, 380, font_size=10, margin=14, max_label=24, values=True, ticks=7)
WIDE = Layout(960, 460, font_size=13, margin=2, max_label=28, values=True, ticks=8)
NARROW = Layout(400, 340, font_size=13, margin=2, max_label=11, values=False, ticks=4)


@dataclass(frozen=True)
class Label:
    """A text for the end of a line, with the place and the color of that end."""

    text: str
    x: float
    y: float
    color: str


def save_figure(figure: Figure, file_format: str) -> bytes:
    """The figure as "png", "svg" or "pdf"; the same bytes each time."""
    undated: dict[str, Any] = {
        "png": {"Software": None},
        "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
        "pdf": {"CreationDate": None},
    }
    file = io.BytesIO()
    with _boxes_for_missing_glyphs():
        figure.savefig(file, format=file_format, dpi=180, metadata=undated[file_format])
    return file.getvalue()


def draw_figure(chart: Chart, layout: Layout, title: str | None) -> Figure:
    """Draws a chart, in the colors for a light ground.

    The markers of a run's evaluations have the gids `held-out-N` and `final-eval-N`.

    Raises:
        UsageError: matplotlib is not installed.

    """
    try:
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no notes about its caches
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "writing a chart to a file requires matplotlib, which is not installed",
            hint='pip install "tfcli[plot]"',
        ) from None
    matplotlib.rcdefaults()  # a matplotlibrc of the user's does not change our pictures
    texts = [title or "", *(curve.label for curve in chart.curves)]
    matplotlib.rcParams.update({
        "font.family": _font_families("".join(texts)),
        "font.size": layout.font_size,
        "text.parse_math": False,  # a name may have dollar signs
        "text.color": INK[0],
        "pdf.fonttype": 42,  # fonts that other programs can edit
        "svg.fonttype": "none",  # text that can be searched and read aloud
        "svg.hashsalt": "tfcli",  # ids that are the same each time
    })  # fmt: skip
    line = 1.6 * layout.font_size
    height = max(layout.height, (len(chart.curves) + 6) * line)
    figure = Figure(figsize=(layout.width / 72, height / 72), dpi=72)
    axes = figure.subplots()
    _draw_axes(axes, chart, layout)
    for run, curve in enumerate(chart.curves):
        _draw_curve(axes, curve, run)
    top = layout.margin
    if title:
        figure.text(
            layout.margin / layout.width, 1 - top / height, title, va="top",
            fontweight="bold", fontsize=layout.font_size + 1,
        )  # fmt: skip
        top += line
    if len(chart.curves) > 1:
        _draw_key(figure, chart.curves, layout, (layout.margin / layout.width, 1 - top / height))
        top += line
    labels = _labels(chart.curves, layout)
    _arrange(axes, labels, [_draw_label(axes, label) for label in labels], layout.margin, top)
    return figure


# --- parts --------------------------------------------------------------------------------------


def _draw_axes(axes: Axes, chart: Chart, layout: Layout) -> None:
    for axis, part, count in ((axes.xaxis, chart.x, layout.ticks), (axes.yaxis, chart.y, 6)):
        ticks = part.ticks(count)
        axis.set_ticks([value for value, _ in ticks], [label for _, label in ticks])
        axis.set_label_text(part.title, color=FAINT[0])
        axis.labelpad = 0.6 * layout.font_size
        axis.set_tick_params(length=0, pad=0.5 * layout.font_size, labelcolor=FAINT[0])
    axes.set_xlim(chart.x.low, chart.x.high)
    axes.set_ylim(chart.y.low, chart.y.high)
    axes.grid(axis="y", color=GRID[0], linewidth=1)
    axes.set_axisbelow(True)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT[0])
    axes.patch.set_visible(False)


def _draw_curve(axes: Axes, curve: Curve, run: int) -> None:
    """Train loss thin; held-out loss thick, with a marker for each evaluation; others hollow.

    A dotted line is where a student begins.
    """
    color, line, marker = _look(run)
    if curve.student is not None:
        axes.axvline(curve.student, color=color, linestyle=":", gid=f"student-{run}")
        axes.annotate(
            "student", (curve.student, 1), (3, 0), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top", color=color,
        )  # fmt: skip
    axes.plot(*_columns(curve.train), color=color, linestyle=line, linewidth=1.2, alpha=0.6)
    evaluations: dict[str, Any] = {
        "color": color, "marker": marker, "markersize": 6, "zorder": 3, "clip_on": False,
    }  # fmt: skip
    axes.plot(
        *_columns([(one.x, one.y) for one in curve.held_out]), **evaluations,
        linestyle=line, linewidth=2.2, markeredgecolor=GROUND[0], gid=f"held-out-{run}",
    )  # fmt: skip
    axes.plot(
        *_columns([(one.x, one.y) for one in curve.final_eval]), **evaluations,
        linestyle="", markerfacecolor=GROUND[0], markeredgewidth=2, gid=f"final-eval-{run}",
    )  # fmt: skip


def _look(run: int) -> tuple[str, str, str]:
    """Color, line style and marker of a run, by its number."""
    line = "--" if run // len(COLORS) % 2 else "-"
    return COLORS[run % len(COLORS)][0], line, MARKERS[run % len(MARKERS)]


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _draw_key(
    figure: Figure, curves: Sequence[Curve], layout: Layout, corner: tuple[float, float]
) -> None:
    """What thick, thin and hollow mean, where the labels name the runs instead."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"color": FAINT[0], "markersize": 5}
    handles = []
    if any(curve.held_out for curve in curves):
        handles.append(Line2D([], [], linewidth=2.2, marker="o", label="held out", **style))
    if any(curve.final_eval for curve in curves):
        handles.append(
            Line2D(
                [], [], linestyle="", marker="o", markerfacecolor=GROUND[0], markeredgewidth=1.5,
                label="final, on more text", **style,
            )
        )  # fmt: skip
    captions = sorted({curve.train_caption for curve in curves if curve.train})
    if captions:
        label = captions[0] if len(captions) == 1 else "train, smoothed"
        handles.append(Line2D([], [], linewidth=1.2, alpha=0.8, label=label, **style))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=corner, ncols=len(handles),
        frameon=False, labelcolor=FAINT[0], fontsize=layout.font_size - 1, handlelength=1.8,
        columnspacing=1.5, handletextpad=0.6, borderaxespad=0, borderpad=0,
    )  # fmt: skip


def _labels(curves: Sequence[Curve], layout: Layout) -> list[Label]:
    """The names of the runs, each with its loss; of a single run, its lines.

    The loss is the final one, which `runs list` shows too, beside its hollow marker. Without one
    it is that of the line's end.
    """
    if len(curves) == 1:
        return _labels_of_lines(curves[0], layout)
    labels = []
    for run, curve in enumerate(curves):
        measured = [(one.x, one.y) for one in curve.final_eval or curve.held_out]
        x, y = (measured or curve.train)[-1]
        text = curve.label
        if len(text) > layout.max_label:
            text = text[: layout.max_label - 1] + "…"
        if layout.values:
            text += f"  {y:z.4f}" if measured else f"  {y:z.4f} (train)"
        labels.append(Label(text, x, y, _look(run)[0]))
    return labels


def _labels_of_lines(curve: Curve, layout: Layout) -> list[Label]:
    ends = [("held out", one.x, one.y) for one in curve.held_out[-1:]]
    ends += [("final", one.x, one.y) for one in curve.final_eval[-1:]]
    ends += [("train", x, y) for x, y in curve.train[-1:]]
    space = " " if layout.values else "\n"
    labels = [Label(f"{name}{space}{y:z.4f}", x, y, _look(0)[0]) for name, x, y in ends]
    if curve.smoothing > 1 and layout.values:
        last = labels.pop()
        text = f"{last.text}\n(mean of {curve.smoothing:,} steps)"
        labels.append(Label(text, last.x, last.y, last.color))
    return labels


def _draw_label(axes: Axes, label: Label) -> Annotation:
    """A text right of the axes, joined with the end of its line by dots."""
    return axes.annotate(
        label.text, (label.x, label.y), (1, 0.5), textcoords="axes fraction", va="center",
        annotation_clip=False, linespacing=1.2, arrowprops={
            "arrowstyle": "-", "color": label.color, "linestyle": (0, (1, 2)), "linewidth": 1.2,
            "alpha": 0.7, "relpos": (0, 0.5), "shrinkA": 2, "shrinkB": 6,
        },
    )  # fmt: skip


# --- where the parts go -------------------------------------------------------------------------


def _arrange(
    axes: Axes, labels: Sequence[Label], drawn: Sequence[Annotation], margin: float, top: float
) -> None:
    """Gives the axes the room that the texts around them leave, and each label its place.

    Args:
        margin: in points, around everything.
        top: in points, what lies above the axes.

    """
    from matplotlib.text import Text

    figure = axes.get_figure(root=True)
    assert figure is not None
    with _boxes_for_missing_glyphs():
        figure.draw_without_rendering()  # measures the texts
        left = axes.bbox.x0 - _extent(axes.yaxis).x0 + margin
        bottom = axes.bbox.y0 - _extent(axes.xaxis).y0 + margin
        boxes = [Text.get_window_extent(one) for one in drawn]
    gap = 14.0
    right = margin + gap + max(box.width for box in boxes)
    width, height = figure.bbox.width, figure.bbox.height
    inner = (width - left - right, height - bottom - top - 8)
    axes.set_position((left / width, bottom / height, inner[0] / width, inner[1] / height))
    low, high = axes.get_ylim()
    ends = [(label.y - low) / (high - low) * inner[1] for label in labels]
    for one, y in zip(
        drawn, spread(ends, [box.height + 3 for box in boxes], inner[1]), strict=True
    ):
        one.set_position((1 + gap / inner[0], y / inner[1]))


def _extent(axis: Any) -> Any:
    """The box around an axis's title and the labels of its ticks."""
    return axis.get_tightbbox()


def spread(positions: Sequence[float], heights: Sequence[float], high: float) -> list[float]:
    """The positions moved as little as keeps boxes of these heights apart, in their order.

    Least squares under that condition: positions less the heights below them must not fall, which
    is isotonic regression (pool adjacent violators). All boxes lie between 0 and `high` if they
    can.
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    centers, below = [], 0.0
    for i in order:
        centers.append(below + heights[i] / 2)
        below += heights[i]
    pools: list[tuple[float, int]] = []  # mean and size
    for i, center in zip(order, centers, strict=True):
        mean, size = positions[i] - center, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    bases = [min(max(mean, 0.0), max(high - below, 0.0)) for mean, n in pools for _ in range(n)]
    placed = list(positions)
    for i, base, center in zip(order, bases, centers, strict=True):
        placed[i] = base + center
    return placed


# --- fonts --------------------------------------------------------------------------------------


def _font_families(text: str) -> list[str]:
    """The font of matplotlib, then installed ones for the characters that it lacks."""
    from matplotlib import font_manager

    families = ["DejaVu Sans"]
    missing = set(map(ord, text))
    missing -= font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap().keys()
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: entry.name):
        if not missing:
            break
        if entry.name.startswith(("Last", ".")):  # fonts of boxes; those of the system alone
            continue
        try:
            found = missing & font_manager.get_font(entry.fname).get_charmap().keys()
        except (OSError, RuntimeError):  # a format that FreeType does not read
            continue
        if found:
            families.append(entry.name)
            missing -= found
    return families


@contextlib.contextmanager
def _boxes_for_missing_glyphs() -> Iterator[None]:
    """Without warnings of characters that no installed font has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield
