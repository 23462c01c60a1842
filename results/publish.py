"""Put a page into results/reference: python results/publish.py PAGE NAME, with PAGE a folder below results/report.

Kept are the page, its tables and claims, and of its figures one PNG each where a text of this repository shows it. The
page's links to its other figures are left out: `prune-lab report` draws those again.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIGURE_FILES = re.compile(r'; [\w.-]+:\s+(?:<a href="figures/[^"]+">[A-Z]+</a>\s*)+')


def shown(name: str) -> set[str]:
    """The figures of a reference folder that a text shows."""
    texts = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/*.md")]
    link = re.compile(rf"reference/{re.escape(name)}/figures/([\w.-]+\.png)")
    return {figure for text in texts for figure in link.findall(text.read_text(encoding="utf-8"))}


def publish(page: Path, folder: Path) -> None:
    """Replace `folder` by what is kept of `page`."""
    kept = [path for path in page.iterdir() if path.is_file()]
    kept += [path for name in shown(folder.name) if (path := page / "figures" / name).exists()]
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for path in kept:
        place = draft / path.relative_to(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    if (html := draft / "index.html").exists():
        html.write_text(FIGURE_FILES.sub("", html.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), ROOT / "results" / "reference" / sys.argv[2])
