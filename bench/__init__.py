"""The measurements of docs/performance.md: ratios between things measured side by side, never absolute times."""
