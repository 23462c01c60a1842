"""Which examples to label, or to show to a model, for given test points: optimal design (arXiv:2404.08846)."""
