"""Draw what the documents say of the results and of the code: `python docs/build.py` (part of `make docs`).

The README's table and first figure are drawn from results/reference/, docs/reference/ from the code. Nothing in them is
written by hand; tests/test_docs.py fails where they are stale.
"""

from __future__ import annotations

import inspect
import io
import json
import re
import textwrap
import tokenize
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "results" / "reference"
BEGIN, END = "<!-- table: python docs/build.py -->", "<!-- end of table -->"
SETTING = re.compile(r"H6, (.+), a search gains less on the hardest half than on a random half")


# ---- from the results ------------------------------------------------------------------------------------------------


def claims(folder: str) -> list[dict[str, Any]]:
    content: dict[str, Any] = json.loads((REFERENCE / folder / "claims.json").read_text(encoding="utf-8"))
    return list(content["expectations"])


def number(value: float, digits: int, *, signed: bool) -> str:
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def measured(claim: dict[str, Any], row: dict[str, Any]) -> str:
    """The claim's effect with its interval, as the row writes it."""
    scale, digits = row.get("scale", 1), row.get("digits", 1 if row.get("scale") else 2)
    signed = row.get("signed", row.get("scale") == 100 or claim["low"] < 0)
    effect, low, high = (number(scale * claim[name], digits, signed=signed) for name in ("effect", "low", "high"))
    return str(row["show"]).format(f"{effect} [{low}, {high}]")


def linked(text: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def table() -> str:
    """The README's table, in Markdown."""
    lines = ["| claim | the paper | here, with 95 % interval | verdict |", "|---|---|---|---|"]
    for group in yaml.safe_load((ROOT / "docs" / "table.yaml").read_text(encoding="utf-8")):
        lines.append(f"| **{linked(group['system'])}** | | | |")
        for row in group["rows"]:
            (claim,) = (one for one in claims(row["folder"]) if one["claim"] == row["of"])
            page = f"[{row['claim']}](docs/findings/{row['page']}.md)"
            lines.append(f"| {page} | {linked(row['paper'])} | {measured(claim, row)} | {claim['verdict']} |")
    return "\n".join(lines)


def answers() -> list[tuple[str, float, float, float]]:
    """(setting, effect, low, high) in percentage points: gain on the hardest half minus gain on a random half."""
    found = []
    for path in sorted(REFERENCE.glob("pruning_then_equal*/claims.json")):
        for claim in claims(path.parent.name):
            if match := SETTING.fullmatch(claim["claim"]):
                found.append((match[1], *(100 * float(claim[name]) for name in ("effect", "low", "high"))))
    return sorted(found, key=lambda row: row[1])


def figure(path: Path) -> None:
    """The answer at a glance: a row a setting, with its interval, sorted."""
    from matplotlib.figure import Figure

    rows = answers()
    drawn = Figure(figsize=(8.6, 0.3 * len(rows) + 1.2), layout="constrained")
    axes = drawn.subplots()
    for place, (_, effect, low, high) in enumerate(rows):
        colour = "#0072b2" if high < 0 else "#d55e00" if low > 0 else "#8b8f96"
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot([effect], [place], "o", color=colour, markersize=5)
    axes.axvline(0, color="#1d2126", linewidth=1)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("gain on the hardest half minus gain on a random half, points")
    for words, place, side in (
        ("pruning helps uniform weights  ←", -0.5, "right"),
        ("→  pruning harms them", 0.5, "left"),
    ):
        axes.annotate(
            words, (place, 1), (0, 6), xycoords=("data", "axes fraction"), textcoords="offset points", ha=side
        )
    axes.grid(axis="x", color="#e3e6ea")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    drawn.savefig(path, dpi=150, metadata={"Software": None})


# ---- from the code ---------------------------------------------------------------------------------------------------


def comments(cls: type[BaseModel]) -> dict[str, str]:
    """What the comment behind each setting of a class, and of those that it builds on, says."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        if issubclass(one, BaseModel) and one.__module__.startswith("prune_lab") and "<locals>" not in one.__qualname__:
            try:
                source = textwrap.dedent(inspect.getsource(one))
            except (OSError, TypeError):  # made by the decorator `choice`, of a class that has a source
                continue
            found |= comments_in(source)
    return found


def comments_in(source: str) -> dict[str, str]:
    """Setting -> comment, of a class's source: `name: type = default  # comment`, on one line or several."""
    found: dict[str, str] = {}
    setting = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.start[1] == 4 and re.match(r"    \w+: ", token.line):
            setting = token.string
        elif token.type == tokenize.COMMENT and setting:
            found[setting] = token.string.lstrip("# ")
        elif token.type == tokenize.NEWLINE:
            setting = ""
    return found


def rows(cls: type[BaseModel], prefix: str) -> list[str]:
    """A row a setting that holds a value: its name on the command line, what it takes, its default, its meaning."""
    from prune_lab.cli.choices import type_words, usual, value_words

    told, found = comments(cls), []
    for name, field in cls.model_fields.items():
        if name == "name":
            continue
        default = "none: must be given" if field.is_required() else f"`{value_words(usual(field))}`"
        words = type_words(field.annotation).replace("|", " ")
        found.append(f"| `{prefix}{name}` | {words} | {default} | {told.get(name, '')} |")
    return found


HEAD = "| setting | takes | default | meaning |\n|---|---|---|---|"
DRAWN = "Drawn from the code by `python docs/build.py`."


def table_of(cls: type[BaseModel], prefix: str) -> str:
    return "\n".join([HEAD, *rows(cls, prefix)])


def settings() -> str:
    """docs/reference/settings.md: what a run has besides its choices."""
    from prune_lab.experiments import choices as registry
    from prune_lab.experiments.contribution.settings import Search
    from prune_lab.experiments.phases.settings import Launcher, Run
    from prune_lab.experiments.training.recipes import Recipe

    simple = {"recipe": Recipe, "search": Search, "launcher": Launcher}
    elsewhere = re.compile(rf"\| `({'|'.join([*simple, *registry.KINDS])})` ")
    said = f"{DRAWN} Write `name=value`; `a,b,c` is a sweep over three values. The settings of a task, model, scorer,\n"
    said += "rule, policy or study are on [the page of choices](choices.md)."
    own = "\n".join([HEAD, *(row for row in rows(Run, "") if not elsewhere.match(row))])
    parts = ["# Settings", said, "## A run", own]
    for name, cls in simple.items():
        parts += [f"## `{name}`", " ".join((cls.__doc__ or "").split()), table_of(cls, f"{name}.")]
    return "\n\n".join(parts) + "\n"


def choices() -> str:
    """docs/reference/choices.md: every task, model, scorer, rule, policy and study."""
    from prune_lab.experiments import choices as registry

    parts = ["# Choices", f"{DRAWN} `prune-lab choices` shows the same, and your plug-ins."]
    for kind in registry.KINDS:
        parts.append(f"## `{kind}`")
        for cls in registry.every(kind):
            parts += [f"### `{kind}={cls.registered}`", inspect.cleandoc(cls.__doc__ or "")]
            parts += [f"Source: {linked(cls.source)}."] if cls.source else []
            parts += ["Uses the labels of the dev split."] if cls.sees_dev else []
            parts += [table_of(cls, f"{kind}.")] if rows(cls, "") else []
    return "\n\n".join(parts) + "\n"


def exit_codes() -> str:
    """docs/reference/exit_codes.md."""
    from prune_lab.experiments import errors

    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.LabError)]
    told = {one.exit_code: " ".join((one.__doc__ or "").split()) for one in kinds}
    told |= {0: "Done.", 130: "Interrupted: the same command continues where it stopped."}
    lines = ["| code | meaning |", "|---|---|", *(f"| {code} | {text} |" for code, text in sorted(told.items()))]
    return "\n\n".join(["# Exit codes", DRAWN, "\n".join(lines)]) + "\n"


# ---- all of it -------------------------------------------------------------------------------------------------------


def drawn() -> dict[Path, str]:
    """Every text file that is drawn, with what it should say."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    answer = [",".join([f'"{row[0]}"', *(f"{one:.3f}" for one in row[1:])]) for row in answers()]
    reference = ROOT / "docs" / "reference"
    return {
        ROOT / "README.md": f"{before}{BEGIN}\n{table()}\n{END}{after}",
        ROOT / "docs" / "figures" / "answer.csv": "\n".join(["setting,effect,low,high", *answer, ""]),
        reference / "settings.md": settings(),
        reference / "choices.md": choices(),
        reference / "exit_codes.md": exit_codes(),
    }


if __name__ == "__main__":
    figure(ROOT / "docs" / "figures" / "answer.png")
    for path, text in drawn().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
