"""Which data: every setting of a task, its bounds, unit and meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, model_validator

from ..choices import Count, Place, Settings, Share

BYTES = 257  # tokens of a vocabulary without merges: 256 bytes and a beginning


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"a class is named twice: {', '.join(names)}")
    return names


Classes = Annotated[
    tuple[Annotated[str, BeforeValidator(str)], ...], Field(min_length=2), AfterValidator(_distinct)
]  # [0,1,2] are names of digits


class DigitsTask(Settings):
    """scikit-learn's 1,797 handwritten digits, 8x8, embedded: runs anywhere."""

    name: Literal["digits"]
    examples: Count | None = None  # size of the training pool; null: all of it
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # share of the training data carved out as dev
    label_noise: Share = 0.0  # share of training labels replaced by another class
    classes: Classes | None = None  # names of the classes used, renumbered in this order; null: all


class PerceptronTask(Settings):
    """Teacher-student perceptron: Gaussian inputs, labels by a random teacher (arXiv:2206.14486 §2)."""

    name: Literal["perceptron"]
    examples: Count | None = None
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    label_noise: Share = 0.0
    dimension: Annotated[int, Field(ge=2)] = 64
    train: Annotated[int, Field(ge=20)] = 4096  # examples before dev is carved out
    test: Annotated[int, Field(ge=2)] = 8192
    data_seed: int = 0  # of the teacher and of the inputs
    spread: Annotated[float, Field(gt=0)] = 1.0  # standard deviation of the training inputs
    shift: float = 0.0  # mean of each coordinate of the test inputs, whose standard deviation is 1
    target: Annotated[int, Field(ge=4)] | None = None  # dev examples of the test's distribution; null: a share of train
    orthogonal: bool = False  # training inputs at right angles, at most `dimension` of them

    @model_validator(mode="after")
    def _target(self) -> PerceptronTask:
        if self.orthogonal and (self.train > self.dimension or self.target is None):
            raise ValueError(
                f"task.orthogonal=true has room for task.train={self.dimension} (task.dimension), and its dev is drawn "
                "apart: say task.target=4096"
            )
        if self.target is None and (self.spread != 1 or self.shift):
            raise ValueError("task.spread and task.shift set train and test apart: say task.target=4096 for dev, too")
        return self


class ImageTask(Settings):
    """CIFAR-10, or anybody's images: class folders or parquet, 8 to 64 pixels."""

    name: Literal["cifar10", "images"]
    path: Place | None = None
    examples: Count | None = None
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    label_noise: Share = 0.0
    classes: Classes | None = None  # names of the classes used, renumbered in this order; null: all
    label: str | None = None  # the label's column in parquet; null: label or fine_label or class
    test: Annotated[float, Field(gt=0, le=0.5)] = 0.2  # share split off as test where the source has no test part
    size: Annotated[int, Field(ge=8, le=64)] | None = None  # pixels to resize to; null: as they are

    @model_validator(mode="after")
    def _path(self) -> ImageTask:
        if self.name == "images" and self.path is None:
            raise ValueError("task=images needs task.path=FOLDER_OR_PARQUET")
        return self


TextName = Literal["text", "imdb", "tinystories", "pydoc", "digits_as_text"]
EMBEDDED = ("pydoc", "digits_as_text")  # the interpreter's own documentation; a letter for each pixel of the digits


class SecondText(Settings):
    """Another text: mixed in, or one for evaluate in the run's own tokens."""

    name: TextName = "text"
    path: Place | None = None
    column: str = "text"
    documents: Count | None = None  # read at most this many, of each part where it has parts; null: all


def located(text: SecondText | None, where: str) -> None:
    """A path where one is needed, and none where it would be ignored."""
    if text is not None and text.name == "text" and text.path is None:
        raise ValueError(f"a second text needs {where}.path=FOLDER_OR_FILE or {where}.name=pydoc")
    if text is not None and text.name in EMBEDDED and (text.path is not None or text.column != "text"):
        raise ValueError(f"{where}.name={text.name} is embedded: {where}.path and {where}.column would be ignored")


class TextTask(Settings):
    """Text: anybody's, a preset of it, or embedded; with another one mixed in where that is asked for."""

    name: TextName
    path: Place | None = None
    examples: Count | None = None  # training windows
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    column: str = "text"  # the text's column in parquet or field in jsonl
    test: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    documents: Count | None = None  # read at most this many documents a split; null: all
    vocabulary: Annotated[int, Field(ge=BYTES, le=65536)] = 1024  # tokens of the BPE; 257: bytes, as in every text
    context: Annotated[int, Field(ge=8, le=4096)] = 64  # tokens a window
    mixed: SecondText | None = None  # its documents are added to every split

    @model_validator(mode="after")
    def _path(self) -> TextTask:
        if self.name == "text" and self.path is None:
            raise ValueError("task=text needs task.path=FOLDER_OR_FILE")
        if self.name in EMBEDDED and self.path is not None:
            raise ValueError(
                f"task={self.name} is embedded and would ignore task.path: use task=text task.path=FOLDER_OR_FILE"
            )
        located(self.mixed, "task.mixed")
        if self.mixed is not None and self.mixed.name == self.name:
            raise ValueError(
                f"task={self.name} and task.mixed.name={self.name} would be told apart by nothing; two texts of yours: "
                "task=text task.path=FOLDER with a folder for each, of .txt files"
            )
        return self


TaskSettings = Annotated[DigitsTask | PerceptronTask | ImageTask | TextTask, Discriminator("name")]
