"""scikit-learn's sklearn/neighbors/tests/test_graph.py against covertree."""

from installed import load
from sklearn_names import NAMES

load("sklearn.neighbors.tests.test_graph", globals(), package="scikit-learn", version="1.9", names=NAMES)
