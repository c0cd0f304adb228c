"""Pictures of trees, neighbours, Gaussian processes and measurements, by Matplotlib.

Each function draws on the axes it is given, or on new ones, and returns them; ``ax.figure.savefig(path)`` saves them.
Nothing opens a window. Needs Matplotlib: ``pip install 'covertreex[plot]'``.

>>> import numpy as np
>>> from covertreex import cover_tree, plot
>>> ax = plot.levels(cover_tree(np.random.default_rng(0).random((500, 2))))
>>> ax.get_xlabel()
'level: nodes cover what is within 2**level'
"""

try:
    from ._fits import history, relevance
    from ._predictions import calibration, field
    from ._scaling import scaling
    from ._trees import conditioning_set, correlation_decay, levels, tree
except ImportError as error:
    if not (error.name or "").startswith("matplotlib"):
        raise
    raise ImportError(f"covertreex.plot needs Matplotlib: pip install 'covertreex[plot]' ({error})") from error

__all__ = [
    "calibration",
    "conditioning_set",
    "correlation_decay",
    "field",
    "history",
    "levels",
    "relevance",
    "scaling",
    "tree",
]
