"""The page of a report: one HTML file that works without a network, on paper and on a phone."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

from service.sweep_reports.facts import SweepReport
from service.sweep_reports.pages.figures import Figure, Table, render_figure, render_table
from service.sweep_reports.pages.model_figures import (
    draw_augmentation,
    draw_calibration,
    draw_confirmation,
    draw_confusion,
    draw_mistakes,
    draw_optimism,
)
from service.sweep_reports.pages.overview import render_answer, render_costs, render_heading
from service.sweep_reports.pages.pictures import Pictures
from service.sweep_reports.pages.search_figures import draw_curves, draw_progress, draw_timeline
from service.sweep_reports.pages.slice_figures import draw_slices
from service.sweep_reports.pages.space_figures import (
    draw_contour,
    draw_depths,
    draw_importance,
    draw_tradeoffs,
)

__all__ = ["PAGE_POLICY", "render_page"]

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Nothing is loaded from anywhere, and no script runs, whatever a name in the page contains."""


_NO_IMAGES = (
    "There are no images: this report was made where they are not at hand. To have them, type on the machine of "
    "the sweep: meltpoint report SWEEP --home DIR"
)
_LINKS = {
    "progress": "Best value so far",
    "importance": "What matters",
    "slices": "Hyperparameters",
    "depths": "Freeze depth",
    "contour": "Two together",
    "curves": "Learning curves",
    "tradeoffs": "Cost",
    "timeline": "Workers",
    "augmentation": "Augmentation",
    "confusion": "Confusion",
    "calibration": "Calibration",
    "mistakes": "Mistakes",
    "optimism": "Optimism",
    "confirmation": "Confirmation",
}
"""Words of the links at the top, by the figure that they lead to."""


def render_page(report: SweepReport, pictures: Pictures | None = None) -> str:
    """Return the page of a report. pictures: images to show; None if they cannot be read here."""
    pictures = pictures or Pictures(missing=_NO_IMAGES)
    groups = _groups(report, pictures)
    missing = [figure for _, figures in groups for figure in figures if not figure.body]
    links = "".join(
        f'<li><a href="#{figure.name}">{escape(_LINKS[figure.name])}</a></li>'
        for _, figures in groups
        for figure in figures
        if figure.body and figure.name in _LINKS
    )
    if report.trials:
        links += '<li><a href="#trials">Trials</a></li>'
    body = "".join(
        f'<h2>{escape(title)}</h2><div class="grid">{"".join(map(render_figure, shown))}</div>'
        for title, figures in groups
        if (shown := [figure for figure in figures if figure.body])
    )
    title = f"{report.sweep.name} {report.sweep.sweep_id}: report"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head><body><main>"
        f"{render_heading(report)}{render_answer(report)}{render_costs(report)}"
        f"{_navigation(links)}"
        f"{body}{_trials(report)}{_missing(missing)}</main>"
        "<footer><p>Made by Meltpoint from the rows of its ledger. The numbers behind every picture: "
        f"<code>meltpoint report {escape(report.sweep.sweep_id)} -o json</code></p></footer></body></html>"
    )


def _navigation(links: str) -> str:
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if links else ""


def _groups(report: SweepReport, pictures: Pictures) -> list[tuple[str, list[Figure]]]:
    """Return the figures in the order of the page, by heading."""
    return [
        (
            "The search",
            [
                *draw_progress(report),
                draw_importance(report),
                *draw_slices(report),
                *draw_depths(report),
                draw_contour(report),
                draw_curves(report),
                *draw_tradeoffs(report),
                draw_timeline(report),
            ],
        ),
        (
            "The model",
            [
                draw_augmentation(pictures),
                draw_confusion(report),
                draw_calibration(report),
                draw_mistakes(report, pictures),
            ],
        ),
        ("How sure it is", [draw_optimism(report), draw_confirmation(report)]),
    ]


def _missing(figures: list[Figure]) -> str:
    """Return which pictures the page does not have, and why."""
    listed = "".join(
        f'<li id="{figure.name}"><b>{escape(figure.title)}</b>: {escape(figure.sentence)} {escape(figure.note)}</li>'
        for figure in figures
    )
    return f'<section id="missing"><h2>Not in this report</h2><ul>{listed}</ul></section>' if listed else ""


def _trials(report: SweepReport) -> str:
    """Return the table of all trials, best first."""
    ordered = sorted(report.trials, key=lambda trial: (trial.rank or len(report.trials) + 1, trial.number))
    keys = list(dict.fromkeys(key for trial in report.trials for key in trial.point))
    varying = [key for key in keys if len({str(trial.point.get(key)) for trial in report.trials}) > 1][:8]
    rows = [
        [
            "" if trial.rank is None else str(trial.rank),
            trial.trial_id,
            trial.state,
            "" if trial.value is None else f"{trial.value:.4f}",
            f"{trial.best_epoch or '-'}/{trial.epochs}",
            *(_cell(trial.point.get(key)) for key in varying),
            f"{trial.seconds:.1f}",
            trial.error or trial.breaks or "",
        ]
        for trial in ordered
    ]
    header = ["rank", "trial", "state", report.sweep.metric, "epoch", *varying, "seconds", "remark"]
    table = render_table(Table(header, rows), "All trials, best first", summary=f"All {len(rows)} trials, best first")
    return f'<section id="trials"><h2>Trials</h2>{table}</section>' if rows else ""


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


@cache
def _style() -> str:
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
