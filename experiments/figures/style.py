"""How the figures look: colours that colour-blind readers can tell apart, fonts, names, labels of numbers."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.colors import to_hex, to_rgb

from .. import choices

INK, MUTED, GRID, CARD = "#1d2126", "#6a737d", "#e3e6ea", "#fefefe"
PALETTE = {  # Okabe and Ito (2008), and five that go with theirs; rules are shown in this order
    "grey": "#8b8f96",
    "orange": "#d55e00",
    "blue": "#0072b2",
    "green": "#009e73",
    "purple": "#b0629a",
    "ochre": "#c48a00",
    "sky": "#3d9bd3",
    "violet": "#7b61c4",
    "teal": "#0f8b8d",
}
GREY, ORANGE, BLUE, GREEN, PURPLE, OCHRE, SKY, VIOLET, TEAL = PALETTE.values()
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", CARD: "card"}  # colours that the page's theme may change
VARIABLES |= {colour: name for name, colour in PALETTE.items()}
UNPRUNED = "none"  # what the tables call the rule of a run that keeps everything
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
    """What a reader is told of a rule, or of a policy, as its file says."""
    return "unpruned" if rule == UNPRUNED else _says(rule, "label") or rule


def colour_of(rule: str) -> str:
    """The rule's colour, as its file says; one of the palette by its name where it says none."""
    colours = list(PALETTE.values())[1:]
    return INK if rule == UNPRUNED else PALETTE.get(_says(rule, "colour")) or colours[sum(rule.encode()) % len(colours)]


def in_order(rules: Iterable[str]) -> list[str]:
    """Unpruned and random first, then by the palette, then those without a colour by name."""
    places = {colour: place for place, colour in enumerate(PALETTE)} | {UNPRUNED: -1}

    def place(rule: str) -> tuple[int, str]:
        return places.get(UNPRUNED if rule == UNPRUNED else _says(rule, "colour"), len(places)), rule

    return sorted(set(rules), key=place)


def selecting(rules: Iterable[str]) -> list[str]:
    """Those that choose examples by something, in order: not everything, and not at random."""
    return [rule for rule in in_order(rules) if rule not in (UNPRUNED, "random")]


def _says(rule: str, fact: str) -> str:
    """What the file of a rule or of a policy says of it; nothing where it is not there, as of a plug-in not loaded."""
    kind = next((kind for kind in ("rule", "policy") if rule in choices.names(kind)), None)
    return getattr(choices.get(kind, rule), fact) or "" if kind else ""


def shade(rule: str, place: int, number: int) -> str:
    """The rule's colour: full for the first of `number`, up to half way to white for the last."""
    return paler(colour_of(rule), place, number)


def paler(colour: str, place: int, number: int) -> str:
    """A colour: full for the first of `number`, up to half way to white for the last."""
    share = 0.55 * place / max(number - 1, 1)
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(colour))
    return to_hex((red, green, blue))


def count_label(value: float) -> str:
    """400, 1,024, 2k, 1.5M: in full where two digits do not tell it."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit and float(f"{value:.2g}") == value:
            return f"{value / unit:g}{name}"
    return f"{value:,.6g}" if value < 1e6 else f"{value:,.0f}"


def percent_label(value: float) -> str:
    return f"{100 * value:.3g} %"
