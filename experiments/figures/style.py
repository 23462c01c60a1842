"""How the figures look: colours that colour-blind readers can tell apart, fonts, names, labels of numbers."""

from __future__ import annotations

from matplotlib.colors import to_hex, to_rgb

INK, MUTED, GRID, CARD = "#1d2126", "#6a737d", "#e3e6ea", "#fefefe"
COLOURS = {  # Okabe and Ito (2008)
    "none": INK,
    "random": "#8b8f96",
    "hard": "#d55e00",
    "easy": "#0072b2",
    "middle": "#009e73",
    "stratified": "#b0629a",
    "beta": "#c48a00",
    "quota": "#3d9bd3",
    "rs2": "#7b61c4",
    "infobatch": "#0f8b8d",
}
RULES = tuple(rule for rule in COLOURS if rule not in ("none", "random"))
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", CARD: "card"} | {
    colour: f"rule-{rule}" for rule, colour in COLOURS.items() if rule != "none"
}  # colours that the page's theme may change
NAMES = {
    "none": "unpruned",
    "hard": "hardest",
    "easy": "easiest",
    "rs2": "RS2",
    "infobatch": "InfoBatch",
    "equal_contribution": "equal contribution",
    "loss_proportional": "weights by loss",
}
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH, HEIGHT = 4.3, 4.0  # inches of one panel
SETTINGS: dict[str, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 5,
    "svg.hashsalt": "prune-lab",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


def name_of(rule: str) -> str:
    return NAMES.get(rule, rule)


def shade(rule: str, place: int, number: int) -> str:
    """The rule's colour: full for the first of `number`, up to half way to white for the last."""
    share = 0.55 * place / max(number - 1, 1)
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(COLOURS[rule]))
    return to_hex((red, green, blue))


def count_label(value: float) -> str:
    """400, 2k, 1.5M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def percent_label(value: float) -> str:
    return f"{100 * value:.3g} %"
