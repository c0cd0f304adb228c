"""Common code of benchmarks: clocks, the float64 truth, runs in turns, tables; ``benchmarks/`` uses it, too."""
