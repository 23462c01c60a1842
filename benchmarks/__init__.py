"""Speed and memory as ratios against a named baseline, both measured in the same run: `python -m benchmarks`."""
