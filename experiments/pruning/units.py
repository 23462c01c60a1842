"""What is chosen as a whole: each example, or each document of text by the mean of its windows' scores over tokens."""

from __future__ import annotations

import numpy as np

from ..contracts import Floats, Indices
from ..data.groups import Names, document_ids


def documents_of(windows: Names) -> tuple[Names, Indices]:
    """(D,) the documents' names, sorted, and (N,) the place among them of each window, called `document#number`."""
    names, member = np.unique(document_ids(windows), return_inverse=True)
    return names, member


def mean_over_tokens(values: Floats, member: Indices, tokens: Indices) -> Floats:
    """(D,) of each document the mean of its windows' values (N,), each weighted by its tokens (N,).

    Where a window's value is a mean over its tokens, as a loss is, this is the mean over the document's tokens.
    """
    means: Floats = np.bincount(member, values * tokens) / np.bincount(member, tokens)
    return means
