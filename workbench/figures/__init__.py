"""Figures: functions from records to plotly figures, with no user interface in them."""

from workbench.experiments.views.pareto import pareto_front
from workbench.figures.alignment import contribution_difference, contributions, maxsim_heatmap
from workbench.figures.budgets import budget_curves
from workbench.figures.export import check_place, export, export_html, export_image, export_images
from workbench.figures.indexes import index_frontier, qualities
from workbench.figures.pooling import group_curves, pool_curve, trade_off
from workbench.figures.systems import Axis, frontier, intervals, latencies, query_differences, system_frontier
from workbench.figures.theme import CONFIG, PALETTES, Palette, palette
from workbench.figures.training import merge_curves, pool_training, training_curves

__all__ = [
    "CONFIG",
    "PALETTES",
    "Axis",
    "Palette",
    "budget_curves",
    "check_place",
    "contribution_difference",
    "contributions",
    "export",
    "export_html",
    "export_image",
    "export_images",
    "frontier",
    "group_curves",
    "index_frontier",
    "intervals",
    "latencies",
    "maxsim_heatmap",
    "merge_curves",
    "palette",
    "pareto_front",
    "pool_curve",
    "pool_training",
    "qualities",
    "query_differences",
    "system_frontier",
    "trade_off",
    "training_curves",
]
