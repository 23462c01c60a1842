"""scorer=file: any score of one's own, computed elsewhere."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ..choices import choice
from ..contracts import Evidence, Floats, Place, ScorerChoice
from ..errors import ConfigError, DataUnavailable
from ..pruning.units import documents_of


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

        data, path = evidence.data, Path(self.path)
        train = data.splits["train"]
        try:
            scores, note = read(path, train.ids, train.targets if data.classes else None)
        except ConfigError:
            if data.kind != "text" or path.suffix == ".npy":
                raise
            names, member = documents_of(train.ids)
            with suppress(ConfigError):
                scores, note = read(path, names)
                evidence.decide(f"{note}; a document's score is that of all its windows")
                return scores[member]
            raise
        evidence.decide(note)
        return scores

    def called(self) -> str:
        return Path(self.path).name
