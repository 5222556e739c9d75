"""Pages: a report as one HTML file, without script and without anything from elsewhere."""

from service.sweep_reports.pages.page import PAGE_POLICY, render_page
from service.sweep_reports.pages.pictures import Pictures

__all__ = ["PAGE_POLICY", "Pictures", "render_page"]
