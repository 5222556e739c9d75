"""Classifiers: a backbone with a new head, ensembles of them, and their export."""

from trainables.classifiers.classifiers import Body, Classifier, build_classifier, check_pool, load_body
from trainables.classifiers.ensembles import Ensemble
from trainables.classifiers.export import check_own_export, export_module
from trainables.classifiers.folding import fold_norms
from trainables.classifiers.stochastic_depth import check_drop_path

__all__ = [
    "Body",
    "Classifier",
    "Ensemble",
    "build_classifier",
    "check_drop_path",
    "check_own_export",
    "check_pool",
    "export_module",
    "fold_norms",
    "load_body",
]
