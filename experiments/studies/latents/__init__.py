"""study=latents: learn from your own latents and not from tokens, on random grammars (arXiv:2605.27734)."""
