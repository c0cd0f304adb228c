"""Points in parts that are searched one by one, exactly.

Points are cut along the Hilbert curve (`curve`), each part is searched by the library (`part`), and what is known
of all parts (`layout`) tells which of them a query has to see (`rounds`). Who drives it, on one machine or many,
does not matter here.
"""
