"""Draws the figures as an SVG: a group of bars for each phase, a bar for each runtime."""

from statistics import median

from budgets import Times

COLOURS = {"pyruntime": "#2a7ab8", "runc": "#c9752d", "crun": "#5f9a4a", "bare": "#9a9a9a"}
OTHER = "#8a5fb0"
PHASES = ("create", "start", "state", "exec", "kill", "delete", "create+start+delete", "run")
LEFT, TOP, WIDTH, BAR, GAP = 150, 46, 520, 13, 12


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _legend(names: list[str]) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        x = LEFT + number * 130
        parts.append(f'<rect x="{x}" y="22" width="12" height="12" fill="{COLOURS.get(name, OTHER)}"/>')
        parts.append(_text(x + 17, 32, "bare interpreter" if name == "bare" else name))
    return parts


def svg(times: Times, title: str) -> str:
    """Returns the chart of the medians, in milliseconds."""
    known = [name for name in COLOURS if name in times["create"]]
    names = [*known, *(name for name in times["create"] if name not in known), "bare"]
    medians = {
        phase: {name: median(times[phase][name]) * 1000 for name in names if name in times[phase]} for phase in PHASES
    }
    bare = median(times["bare"]["bare"]) * 1000
    scale = WIDTH / max(value for group in medians.values() for value in group.values())
    parts, y = _legend(names), float(TOP)
    for phase in PHASES:
        parts.append(_text(LEFT - 8, y + len(medians[phase]) * BAR / 2 + 4, phase, "end"))
        for name, value in medians[phase].items():
            colour = COLOURS.get(name, OTHER)
            parts.append(
                f'<rect x="{LEFT}" y="{y:.1f}" width="{value * scale:.1f}" height="{BAR - 2}" fill="{colour}"/>'
            )
            parts.append(_text(LEFT + value * scale + 5, y + BAR - 3, f"{value:.1f}"))
            y += BAR
        y += GAP
    line = LEFT + bare * scale
    parts.append(
        f'<line x1="{line:.1f}" y1="{TOP - 4}" x2="{line:.1f}" y2="{y - GAP:.1f}" stroke="{COLOURS["bare"]}" '
        'stroke-dasharray="4 3"/>'
    )
    height = y + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height:.0f}" '
        'font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{_text(LEFT, 14, title)}\n' + "\n".join(parts) + "\n</svg>\n"
    )
