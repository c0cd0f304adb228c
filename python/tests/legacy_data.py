"""Points, queries, settings and the check of answers for the tests of names of covertreex 0.4.5."""

import numpy as np
import oracle

from covertreex import config

points = np.random.default_rng(0).standard_normal((300, 3))
queries = np.random.default_rng(1).standard_normal((20, 3))


def assert_nearest(found, k, asked=queries, of=points, distances=None, **options):
    oracle.assert_nearest(of, asked, k, np.asarray(found), distances, **options)


def context(**settings):
    return config.RuntimeContext(config.RuntimeConfig(**settings))
