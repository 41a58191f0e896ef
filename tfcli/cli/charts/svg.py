"""A chart as SVG, drawn by matplotlib and finished here for browsers.

matplotlib writes colors as attributes of each element. So that they follow the reader's preference
for light or dark, a style sheet replaces each of the few colors there are. Viewers without style
sheets show the light ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from tfcli.cli.charts.figure import COLORS, FAINT, FILE, GRID, GROUND, INK, draw_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.charts.chart import Chart, Evaluation
    from tfcli.cli.charts.figure import Layout

SVG = "{http://www.w3.org/2000/svg}"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"

DARK_STYLE = "\n".join(  # only `!important` prevails over the style of an element itself
    f'svg [style*="{name}: {light}"] {{ {name}: {dark} !important; }}'
    for light, dark in (*COLORS, GROUND, INK, FAINT, GRID)
    for name in ("fill", "stroke")
)
STYLE = f"""
svg text {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif !important; }}
@media (prefers-color-scheme: dark) {{
{DARK_STYLE}
}}
"""


def draw_svg_file(chart: Chart, title: str | None) -> bytes:
    """The chart as an SVG file.

    Raises:
        UsageError: matplotlib is not installed.

    """
    svg = _draw_svg(chart, FILE, title, "chart")
    style = ElementTree.Element(f"{SVG}style")
    style.text = STYLE
    svg.insert(1, style)
    return bytes(ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True))


def draw_svg_element(chart: Chart, layout: Layout, name: str) -> str:
    """The chart as an `<svg>` element of an HTML page that has `STYLE`.

    Args:
        name: of this picture among those of the page.

    Raises:
        UsageError: matplotlib is not installed.

    """
    return ElementTree.tostring(_draw_svg(chart, layout, None, name), encoding="unicode")


def _draw_svg(chart: Chart, layout: Layout, title: str | None, name: str) -> ElementTree.Element:
    """An `<svg>` element with a title, and a tooltip on each evaluation."""
    figure = draw_figure(chart, layout, title)
    ElementTree.register_namespace("", SVG.strip("{}"))
    svg = ElementTree.fromstring(save_figure(figure, "svg"))
    for definition in svg.iterfind(f".//{SVG}defs/{SVG}path"):
        definition.attrib.pop("style", None)  # stands on every <use> too, where it can be restyled
    for run, curve in enumerate(chart.curves):
        _add_tooltips(svg, f"held-out-{run}", curve.held_out)
        _add_tooltips(svg, f"final-eval-{run}", curve.final_eval)
    _rename_ids(svg, name)
    svg.set("role", "img")
    text = ElementTree.Element(f"{SVG}title")
    text.text = "Loss of " + ", ".join(curve.label for curve in chart.curves)
    svg.insert(0, text)
    return svg


def _add_tooltips(svg: ElementTree.Element, gid: str, evaluations: Sequence[Evaluation]) -> None:
    for group in svg.iterfind(f".//{SVG}g[@id='{gid}']"):
        for marker, one in zip(group.iter(f"{SVG}use"), evaluations, strict=True):
            ElementTree.SubElement(marker, f"{SVG}title").text = one.description


def _rename_ids(svg: ElementTree.Element, name: str) -> None:
    """Makes the ids unique on a page with several pictures."""
    for element in svg.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set("id", f"{name}-{value}")
            elif key == XLINK_HREF:  # its name in SVG 1; in HTML it would take a namespace
                del element.attrib[key]
                element.set("href", value.replace("#", f"#{name}-"))
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
