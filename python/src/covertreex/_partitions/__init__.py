"""Points in partitions that are searched one by one, exactly.

Points are cut along the Hilbert curve (`curve`), and the library searches each partition (`partition`). The bounds of
all of them (`layout`) decide which partitions a query visits (`rounds`), on one machine or on many.
"""
