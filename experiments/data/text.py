"""Text as windows of tokens: anybody's documents, IMDB, TinyStories, or the interpreter's own documentation.

A document is `[BOS] + tokens`, cut into windows of `context`; every token is the target of exactly one window.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..contracts import IGNORED, Data, Examples, Indices, Split
from ..errors import ConfigError, DataUnavailable, calling, renamed
from ..extras import install
from . import digits, images, sources
from .documents import (
    BESIDE,
    ENDINGS,
    KINDS,
    Documents,
    joined,
    kind,
    read,
    standard_library,
    together,
    written_digits,
)  # fmt: skip
from .parts import files_by_part
from .splits import WATCHED, carve
from .texts import EMBEDDED, TEST

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = 2  # of what is made from the bytes: part of the fingerprint
BOS = 0  # begins every document and pads inputs; the tokenizer's own tokens are shifted by one
FEWEST = 8  # target tokens: shorter windows are no training examples
SAMPLE = 32_000_000  # characters that the BPE is trained on: more would take minutes and change few merges
LONG_WORD = re.compile(r"\S{1000}")
CHUNK = 2048  # documents tokenized at once
STORIES_AT = "roneneldan/TinyStories"  # on the hub
STORIES = ("TinyStoriesV2-GPT4-train.txt", "TinyStoriesV2-GPT4-valid.txt")
PARTS = ("train", "test", "all")  # all: where a source has no parts
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
MIXING = 2  # version of how two sources are joined
MIXED = {f"task.{key}": f"task.mixed.{key}" for key in ("path", "column", "documents")}  # what errors call them


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from: `text`, `imdb`, `tinystories`, or embedded: `pydoc`, `digits_as_text`."""

    name: str
    path: str | None = None
    column: str = "text"
    documents: int | None = None  # of each part at most


def fingerprint(name: str, path: str | None, mixed: Source | None = None) -> str:
    """16 hexadecimal digits: the bytes of the files (pydoc: the interpreter) and the version of their reading."""
    if mixed is not None:
        own = fingerprint(name, path)
        with calling(MIXED):
            return sources.key_of("mixed", own, fingerprint(mixed.name, mixed.path))
    if name == "pydoc":
        return sources.key_of("pydoc", VERSION, sys.version)
    if name == "digits_as_text":
        return sources.key_of(name, VERSION, digits.fingerprint())
    root, parts, _ = find(name, path)
    return sources.key_of(
        "text", VERSION, sources.fingerprint_files([f for part in parts.values() for f in part], root)
    )


def load(
    name: str,
    path: str | None,
    *,
    dev: float,
    test: float = TEST,
    column: str = "text",
    documents: int | None = None,
    vocabulary: int = 1024,
    context: int = 64,
    mixed: Source | None = None,
) -> Data:
    """Inputs (N, T) tokens, targets (N, T) next tokens, IGNORED in padding; what is read is a Source.

    `units` counts each window's target tokens and their UTF-8 bytes; `groups` is what splits and folds keep together:
    its module, or its document with all copies. `dev` and `test` are shares of the characters, in whole groups; `test`
    serves where the source has no test part. The byte-level BPE is
    trained on the training documents alone. The documents of `mixed` are added to every split, and ids then begin with
    the name of their source.
    """
    source = Source(name, path, column, documents)
    identity = sources.key_of(
        name, fingerprint(name, path, mixed), column, documents, vocabulary, dev, test, SAMPLE, version("tokenizers"),
        *([] if mixed is None else [mixed.name, mixed.column, mixed.documents, MIXING]),
    )  # fmt: skip
    tokens = sources.cached_arrays(
        f"{identity}-tokens", lambda: _tokenize(*_every_split(source, mixed, dev, test), vocabulary)
    )
    cut = sources.cached_arrays(f"{identity}-windows-{context}", lambda: windows(tokens, context))
    splits = {split: examples_of(cut, split, name, context, empty=not test) for split in SPLITS}
    theirs = [] if mixed is None else [renamed(f"mixed in: {note}", MIXED) for note in _found(mixed)]
    notes = (*_found(source), *theirs, *tokens["notes"], *cut["notes"])
    serialized = tokens["tokenizer"].tobytes()
    size = 1 + len(tokens["lengths"])
    return Data(name, "text", splits, (), tuple(map(str, notes)), size, _decoder(serialized), serialized)


# ---- finding ---------------------------------------------------------------------------------------------------------


def find(name: str, path: str | None) -> tuple[Path, dict[str, tuple[Path, ...]], list[str]]:
    """The folder or file, its files by part, and how they were found."""
    stories = name == "tinystories"
    download, advice = (_download, f"a network, and {install('hub')}") if stories else (None, None)
    root, found = sources.locate(name, path, download=download, advice=advice)
    kinds: dict[str, list[Path]] = {}
    for file in sources.list_files(root, ENDINGS):
        kinds.setdefault(kind(file), []).append(file)
    if not kinds:
        pictures = sources.list_files(root, images.ENDINGS)
        of_images = f", and has images ({pictures[0].name})" if pictures else ""
        mend = "task=images" if pictures and name == "text" else "task.path=FOLDER_OR_FILE"
        raise DataUnavailable(f"{root} has no {', '.join(KINDS)} files{of_images}", mend)
    ending, *others = sorted(kinds, key=lambda one: (one in BESIDE, -_bytes(kinds[one]) if len(kinds) > 1 else 0, one))
    parts, notes = files_by_part(kinds[ending], root)
    said = [
        f"{len(kinds[one])} {one} not read, for the {ending} files "
        + ("come first" if one in BESIDE else "have more bytes")
        for one in others
    ]
    return root, parts, [found, *said, *notes]


def _bytes(files: Sequence[Path]) -> int:
    """Of all of them; what is not there has none, and the fingerprint says so."""
    return sum(file.stat().st_size for file in files if file.exists())


def _found(source: Source) -> list[str]:
    """How its files were found; embedded text has none."""
    return [] if source.name in EMBEDDED else find(source.name, source.path)[2]


def _download(folder: Path) -> None:
    """TinyStories (arXiv:2305.07759), the GPT-4 part, by the hub's own client."""
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    except ImportError as error:
        raise DataUnavailable("its download needs huggingface-hub, which is not installed", install("hub")) from error
    try:
        get_hf_file_metadata(hf_hub_url(STORIES_AT, STORIES[0], repo_type="dataset"))  # fails at once, without retries
        for file in STORIES:
            hf_hub_download(STORIES_AT, file, repo_type="dataset", local_dir=folder)
    except Exception as error:  # the client's errors share no base class across its versions
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataUnavailable(f"its download failed ({reason})", "the same command with a network") from error


# ---- tokens ----------------------------------------------------------------------------------------------------------


def parts_of(source: Source, wanted: Collection[str] = PARTS) -> tuple[dict[str, Documents], list[str]]:
    """Its documents by part, those that are wanted, and notes: `all` where it has no parts."""
    if source.name == "pydoc":
        whole, python = standard_library(source.documents), sys.version.split()[0]
        return {"all": whole}, [f"pydoc: {len(whole.ids)} docstrings and help topics of Python {python}"]
    if source.name == "digits_as_text":
        whole = written_digits(source.documents)
        return {"all": whole}, [f"digits_as_text: {len(whole.ids)} of scikit-learn's digits, a letter for a pixel"]
    root, files, notes = find(source.name, source.path)
    stories = source.name == "tinystories"
    return {
        part: read(paths, root, part, column=source.column, limit=source.documents, stories=stories)
        for part, paths in files.items()
        if part in wanted
    }, notes


def refuse_idle_test(name: str, path: str | None, mixed: Source | None) -> None:
    """Refuse a share to split off as test where no source lacks a test part."""
    own = [Source(name, path), *([] if mixed is None else [mixed])]
    if not any(one.name in EMBEDDED or "all" in find(one.name, one.path)[1] for one in own):
        raise ConfigError(f"task.test splits a test part off, and task={name} has one", f"task.test={TEST}")


def _every_split(
    source: Source, mixed: Source | None, dev: float, test: float
) -> tuple[dict[Split, Documents], list[str]]:
    """`_documents`; with dev=0 some of the training documents serve as dev."""
    splits, notes = _documents(source, mixed, dev or WATCHED, test)
    if not dev:
        train, held = splits["train"], splits["dev"]
        splits["train"] = Documents(train.ids + held.ids, train.texts + held.texts, train.groups + held.groups, [])
        notes.append("the dev documents are also trained on (task.dev=0)")
    return splits, notes


def _documents(
    source: Source, mixed: Source | None, dev: float, test: float
) -> tuple[dict[Split, Documents], list[str]]:
    """The documents of every split, and notes but for how files were found."""
    parts, found = parts_of(source)
    splits, divided = _divide(parts, dev, test)
    notes = [*(found if source.name in EMBEDDED else []), *(n for part in parts.values() for n in part.notes), *divided]
    if mixed is None:
        return splits, notes
    with calling(MIXED):
        others, more = _documents(mixed, None, dev, test)
        keeps_test = mixed.name not in EMBEDDED and "all" not in find(mixed.name, mixed.path)[1]
    others, shared = together(splits, others, keeps_test=keeps_test)
    both = joined({source.name: splits, mixed.name: others})
    notes += [renamed(f"mixed in: {note}", MIXED) for note in more]
    if shared:
        notes.append(f"{shared} documents of {mixed.name} are also in {source.name}, and in the same split")
        notes += [note for note in _copies(both) if note.startswith("warning")]
    return both, notes


def _tokenize(splits: Mapping[Split, Documents], notes: list[str], vocabulary: int) -> sources.Arrays:
    """Per split: `tokens` of all documents in one row, `starts` (D + 1,), `documents` (D,); and the tokenizer."""
    characters = sum(map(len, splits["train"].texts))
    stride = max(1, -(-characters // SAMPLE))
    if stride > 1:
        notes.append(f"the BPE is trained on 1 in {stride} training documents ({characters:,} characters in all)")
    tokenizer = _train(splits["train"].texts[::stride], vocabulary)
    size = tokenizer.get_vocab_size()
    if 1 + size < vocabulary:
        notes.append(f"the text yields {1 + size} tokens, fewer than task.vocabulary={vocabulary}")
    arrays: sources.Arrays = {
        "tokenizer": np.frombuffer(tokenizer.to_str().encode(), np.uint8),
        "notes": np.array(notes, np.str_),
    }
    for split, documents in splits.items():
        arrays |= encode(tokenizer, documents, split)
    return arrays


def _divide(parts: dict[str, Documents], dev: float, test: float) -> tuple[dict[Split, Documents], list[str]]:
    """Whole groups of documents (those of a module, copies) to train, dev and test."""

    def take(documents: Documents, rows: Indices) -> Documents:
        ids, texts, groups = documents.ids, documents.texts, documents.groups
        return Documents([ids[row] for row in rows], [texts[row] for row in rows], [groups[row] for row in rows], [])

    notes = []

    def carved(documents: Documents, share: float, stream: str) -> tuple[Indices, Indices]:
        groups, sizes = np.array(documents.groups, np.int64), np.array(list(map(len, documents.texts)), np.int64)
        return carve(share, groups=groups, sizes=sizes, stream=stream)

    if "all" in parts:
        everything = np.arange(len(parts["all"].ids))
        rest, held = carved(parts["all"], test, "test") if test else (everything, everything[:0])
        train, tested = take(parts["all"], rest), take(parts["all"], held)
        what = f"{len(held)} of {len(rest) + len(held)} documents split off"
        notes.append(f"no test part in the source: {what if test else 'all are for training (task.test=0)'}")
    else:
        train, tested = parts["train"], parts["test"]
    rest, held = carved(train, dev, "dev")
    notes.append(f"dev: {len(held)} of {len(rest) + len(held)} training documents")
    splits: dict[Split, Documents] = {"train": take(train, rest), "dev": take(train, held), "test": tested}
    return splits, [*notes, *_copies(splits)]


def _copies(splits: Mapping[Split, Documents]) -> list[str]:
    """What to say of documents that occur more than once: within the source, and in train as in test."""
    texts = {split: Counter(documents.texts) for split, documents in splits.items()}
    again = sum(number - 1 for split in ("train", "dev") for number in texts[split].values())
    notes = [f"{again} documents are copies of another, byte by byte, and in its split"] if again else []
    for split in ("train", "dev"):
        if known := sum(number for text, number in texts["test"].items() if text in texts[split]):
            number = len(splits["test"].texts)
            notes.append(f"warning: {known} of {number} test documents are in {split}, byte by byte")
    return notes


def _train(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE whose tokens, with BOS, number at most `vocabulary`. Every text is a sequence of its tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_without_long_words(texts), trainer)
    return tokenizer


def _without_long_words(texts: Sequence[str]) -> Iterator[str]:
    """The texts, each in pieces where a word is longer than any: the time that merges take is its length squared."""
    for text in texts:
        start = 0
        for word in LONG_WORD.finditer(text):
            yield text[start : word.end()]
            start = word.end()
        yield text[start:]


def encode(tokenizer: Tokenizer, documents: Documents, split: Split) -> sources.Arrays:
    """Of a split: `tokens` of all documents in one row, each shifted past BOS, and their `starts` (D + 1,).

    `documents` (D,) are their names, `units` (D,) their groups.

    `lengths` (V - 1,) are the bytes that each token stands for.
    """
    size = tokenizer.get_vocab_size()
    kind = np.uint16 if size < 2**16 else np.int32
    lengths = np.array([len(tokenizer.id_to_token(token) or "") for token in range(size)], np.int64)  # a letter a byte
    pieces, counts = [np.empty(0, kind)], [0]
    for first in range(0, len(documents.texts), CHUNK):
        for encoding in tokenizer.encode_batch_fast(documents.texts[first : first + CHUNK], add_special_tokens=False):
            ids = np.array(encoding.ids, np.int64)
            counts.append(len(ids))
            pieces.append((ids + 1).astype(kind))
    tokens = np.concatenate(pieces)
    assert lengths[tokens.astype(np.int64) - 1].sum() == sum(len(text.encode()) for text in documents.texts)
    names = np.array(documents.ids, np.str_)
    arrays: sources.Arrays = {"lengths": lengths, f"{split}_tokens": tokens, f"{split}_starts": np.cumsum(counts)}
    return arrays | {f"{split}_documents": names, f"{split}_units": np.array(documents.groups, np.int64)}


def _decoder(serialized: bytes) -> Callable[[Sequence[int]], str]:
    """Tokens to text; BOS, padding and IGNORED are left out. The tokenizer is built at the first use."""

    @cache
    def tokenizer() -> Tokenizer:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(serialized.decode())

    return lambda tokens: str(tokenizer().decode([int(token) - 1 for token in tokens if token > BOS]))


# ---- windows ---------------------------------------------------------------------------------------------------------


def windows(arrays: sources.Arrays, context: int) -> sources.Arrays:
    """Windows of every split that has tokens, (N, T), in the order of documents."""
    notes = []
    made: sources.Arrays = {}
    for split in SPLITS:
        if f"{split}_tokens" not in arrays:
            continue
        tokens, starts, names, units = (
            arrays[f"{split}_{what}"] for what in ("tokens", "starts", "documents", "units")
        )
        counts = np.diff(starts)
        rows = -(-counts // context)  # windows of each document
        first = np.cumsum(rows) - rows
        document = np.repeat(np.arange(len(rows)), rows)
        place = np.arange(len(tokens)) + np.repeat(first * context - starts[:-1], counts)
        inputs = np.zeros(len(document) * context, tokens.dtype)
        inputs[place[1:]] = tokens[:-1]
        inputs[first[rows > 0] * context] = BOS  # where the token before belongs to another document
        targets = np.full(len(document) * context, IGNORED, np.int64)
        targets[place] = tokens
        size = np.bincount(place // context, arrays["lengths"][tokens.astype(np.int64) - 1], len(document))
        number = np.sum(targets.reshape(-1, context) != IGNORED, 1)
        window = np.arange(len(document)) - np.repeat(first, rows)
        kept = number >= FEWEST if split == "train" else np.ones(len(document), bool)
        if dropped := int(np.sum(~kept)):
            notes.append(f"{dropped} training windows with fewer than {FEWEST} tokens left out")
        ids = np.char.add(np.char.add(names[document[kept]], "#"), window[kept].astype(np.str_))
        columns = {
            "inputs": inputs.reshape(-1, context),
            "targets": targets.reshape(-1, context),
            "groups": units[document],
            "tokens": number,
        }
        made |= {f"{split}_{what}": values[kept] for what, values in columns.items()}
        made |= {f"{split}_ids": ids, f"{split}_bytes": size[kept].astype(np.int64)}
    made["notes"] = np.array(notes, np.str_)
    return made


def examples_of(arrays: sources.Arrays, split: Split, name: str, context: int, *, empty: bool = False) -> Examples:
    """A split's windows, of which there must be one; of test there may be none where it may be `empty`."""
    inputs, targets, ids, groups, number, size = (
        arrays[f"{split}_{what}"] for what in ("inputs", "targets", "ids", "groups", "tokens", "bytes")
    )
    if not len(targets) and not (split == "test" and empty):
        raise DataUnavailable(f"{name} has too little text: no window of {context} tokens is left for {split}")
    return Examples(inputs, targets, ids, groups, {"tokens": number, "bytes": size})
