"""Common code of benchmarks: clocks, the float64 truth, named workloads; ``benchmarks/`` uses it, too."""
