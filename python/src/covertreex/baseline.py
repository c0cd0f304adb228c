"""Older names: ``covertreex.baseline`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.baseline import (
    BaselineCoverTree,
    BaselineNode,
    ExternalCoverTreeBaseline,
    GPBoostCoverTreeBaseline,
    MlpackCoverTreeBaseline,
    ScikitLearnBaseline,
    ScipyBaseline,
    has_external_cover_tree,
    has_gpboost_cover_tree,
    has_mlpack_cover_tree,
    has_scipy_baseline,
    has_sklearn_baseline,
)

__all__ = [
    "BaselineCoverTree",
    "BaselineNode",
    "ExternalCoverTreeBaseline",
    "GPBoostCoverTreeBaseline",
    "MlpackCoverTreeBaseline",
    "ScikitLearnBaseline",
    "ScipyBaseline",
    "has_external_cover_tree",
    "has_gpboost_cover_tree",
    "has_mlpack_cover_tree",
    "has_scipy_baseline",
    "has_sklearn_baseline",
]
