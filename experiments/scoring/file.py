"""scorer=file: any score of one's own, computed elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..choices import choice
from ..contracts import Evidence, Floats, Place, ScorerChoice
from ..errors import DataUnavailable


@choice("scorer", "file")
class File(ScorerChoice):
    """Any score of yours: .npy, .csv (image or id, score) or parquet, aligned by id."""

    path: Place  # the file: .csv, .parquet or .npy

    def recipe(self) -> Any:
        from ..data.sources import fingerprint_files

        path = Path(self.path)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "there is no such file"
            raise DataUnavailable(f"scorer.path={self.path}: {what}", "scorer.path=FILE (.npy, .csv, .parquet)")
        return {"name": "file", "fingerprint": fingerprint_files([path])}

    def score(self, evidence: Evidence) -> Floats:
        from .files import read

        train = evidence.data.splits["train"]
        scores, note = read(Path(self.path), train.ids, train.targets if evidence.data.classes else None)
        evidence.decide(note)
        return scores

    def called(self) -> str:
        return Path(self.path).name
