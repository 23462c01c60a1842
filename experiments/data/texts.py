"""The tasks of text: anybody's, two presets of it, and two embedded ones; another text may be mixed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Count, Data, Kind, Place, Settings, TaskChoice

if TYPE_CHECKING:
    from .text import Source

BYTES = 257  # tokens of a vocabulary without merges: 256 bytes and a beginning
TEST = 0.1  # share split off as test, by default
EMBEDDED = ("pydoc", "digits_as_text")  # the interpreter's own documentation; a letter for each pixel of the digits
TextName = Literal["text", "imdb", "tinystories", "pydoc", "digits_as_text"]


class SecondText(Settings):
    """Another text: mixed in, or one for evaluate in the run's own tokens."""

    name: TextName = "text"
    path: Place | None = None  # folder or file with the data
    column: str = "text"
    documents: Count | None = None  # a random sample of at most this many, of each part; null: all

    def located(self, where: str) -> None:
        """Refuse a missing path, and one that would be ignored. `where` is the section's name."""
        if self.name == "text" and self.path is None:
            raise ValueError(f"a second text needs {where}.path=FOLDER_OR_FILE or {where}.name=pydoc")
        if self.name in EMBEDDED and (self.path is not None or self.column != "text"):
            raise ValueError(f"{where}.name={self.name} is embedded: {where}.path and {where}.column would be ignored")


class TextTask(TaskChoice):
    """Windows of the tokens of documents."""

    reads: ClassVar[Kind] = "text"

    path: Place | None = None  # folder or file; null: below $PRUNE_LAB_DATA
    examples: Count | None = None  # training windows
    dev: Annotated[float, Field(ge=0, le=0.5)] = 0.05  # share of the training documents carved out as dev
    column: str = "text"  # the text's column in parquet or field in jsonl; inside another: outer.inner
    test: Annotated[float, Field(ge=0, le=0.5)] = TEST  # share split off as test where the source has no test part
    documents: Count | None = None  # a random sample of at most this many, of each part; null: all
    vocabulary: Annotated[int, Field(ge=BYTES, le=65536)] = 1024  # tokens of the BPE; 257: bytes, as in every text
    context: Annotated[int, Field(ge=8, le=4096)] = 64  # tokens a window
    mixed: SecondText | None = None  # its documents are added to every split
    unit: Literal["window", "document"] = "window"  # what prune keeps or drops as a whole; a document by its mean score
    group: str | None = None  # whose groups prune counts and balances: a column, or folder (of each document)

    @model_validator(mode="after")
    def _second(self) -> TextTask:
        if self.embedded and (ignored := [name for name in ("path", "column") if self._given(name)]):
            raise ValueError(
                f"task={self.name} is embedded and would ignore task.{ignored[0]}: use task=text "
                "task.path=FOLDER_OR_FILE"
            )
        if self.group not in (None, "folder") and (self.embedded or self.mixed is not None):
            why = f"task={self.name} is embedded" if self.embedded else "task.mixed joins two sources"
            raise ValueError(f"task.group={self.group} names a column of files, and {why}: use task.group=folder")
        if self.unit == "document" and self.examples is not None:
            raise ValueError("task.examples is a number of windows, and would cut documents: use task.documents")
        if self.mixed is not None:
            self.mixed.located("task.mixed")
        if self.mixed is not None and self.mixed.name == self.name:
            raise ValueError(
                f"task={self.name} and task.mixed.name={self.name} would be told apart by nothing; two texts of yours: "
                "task=text task.path=FOLDER with a folder for each, of .txt files"
            )
        return self

    def fingerprint(self) -> str:
        from . import text

        return text.fingerprint(self.name, self.path, self._mixed())

    def load(self) -> Data:
        from . import text

        if self._given("test"):
            text.refuse_idle_test(self.name, self.path, self._mixed())
        return text.load(
            self.name,
            self.path,
            column=self.column,
            documents=self.documents,
            vocabulary=self.vocabulary,
            context=self.context,
            dev=self.dev,
            test=self.test,
            mixed=self._mixed(),
        )

    def _given(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    def _mixed(self) -> Source | None:
        from . import text

        return None if self.mixed is None else text.Source(**self.mixed.model_dump())


@choice("task", "text")
class AnyText(TextTask):
    """Anybody's text: a folder or file of .txt, .jsonl or parquet."""

    @model_validator(mode="after")
    def _path(self) -> AnyText:
        if self.path is None:
            raise ValueError("task=text needs task.path=FOLDER_OR_FILE")
        return self


@choice("task", "imdb", source="Maas et al. 2011")
class Imdb(TextTask):
    """Film reviews: task.path or $PRUNE_LAB_DATA/imdb."""


@choice("task", "tinystories", source="arXiv:2305.07759")
class TinyStories(TextTask):
    """TinyStories: task.path, $PRUNE_LAB_DATA/tinystories, or the hub (extra: hub)."""


@choice("task", "pydoc")
class Pydoc(TextTask):
    """The running interpreter's own documentation, embedded: a language model that trains offline anywhere."""

    embedded: ClassVar[bool] = True


@choice("task", "digits_as_text")
class DigitsAsText(TextTask):
    """scikit-learn's digits as text, embedded: 64 letters a digit, a to q for a pixel's ink."""

    embedded: ClassVar[bool] = True
