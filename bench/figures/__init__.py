"""The figures of docs/performance.md, a module each: `measure` gives a Result."""
