"""Run the notebook of the docs in this process. `python -m tests.notebook` writes its outputs anew."""

from __future__ import annotations

import ast
import base64
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

from prune_lab.experiments.store.folders import Store

from .synthetic_store import build, with_examples

NOTEBOOK = Path(__file__).parent.parent / "docs" / "reading_results.ipynb"
DPI = 80


def made_up(root: Path) -> Store:
    """The store that the notebook reads: two pools, of which the larger gains from keeping the hardest."""
    return with_examples(build(root, pools=(2000, 32_000), keeps=(0.5, 0.2), rules=("random", "hard")))


def outputs(notebook: dict[str, Any], results: Path) -> Iterator[list[dict[str, Any]]]:
    """The outputs of every code cell, run in their order in one namespace, in the folder that holds `results`."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    names: dict[str, Any] = {}
    with chdir(results.parent):
        for number, cell in enumerate(code(notebook), start=1):
            *before, last = ast.parse("".join(cell["source"])).body
            shown = isinstance(last, ast.Expr)
            printed, value = io.StringIO(), None
            with redirect_stdout(printed):
                exec(compile(ast.Module([*before] if shown else [*before, last], []), "cell", "exec"), names)
                if isinstance(last, ast.Expr):
                    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            found: list[dict[str, Any]] = []
            if printed.getvalue():
                found.append({"output_type": "stream", "name": "stdout", "text": lines(printed.getvalue())})
            for figure in map(plt.figure, plt.get_fignums()):
                picture = io.BytesIO()
                figure.savefig(picture, dpi=DPI)
                data = {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": ["<a figure>"]}
                found.append({"output_type": "display_data", "data": data, "metadata": {}})
            if value is not None and not plt.get_fignums():
                data = {"text/plain": lines(repr(value))}
                if hasattr(value, "_repr_html_"):
                    data |= {"text/html": lines(value._repr_html_())}
                found.append({"output_type": "execute_result", "execution_count": number, "data": data, "metadata": {}})
            plt.close("all")
            yield found


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def plain(found: list[dict[str, Any]]) -> list[Any]:
    """What the outputs say as text: of a picture that there is one."""
    return [one.get("text") or one["data"]["text/plain"] for one in found]


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    with tempfile.TemporaryDirectory() as folder:
        made_up(Path(folder, "results"))
        for number, (cell, found) in enumerate(
            zip(code(notebook), outputs(notebook, Path(folder, "results")), strict=True), start=1
        ):
            cell |= {"outputs": found, "execution_count": number}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
