"""The pages of an experiment: `write_report` from its folder, `write_screen` from a screening of benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_model.experiment.report.page import write_report as write_report
    from proxy_model.experiment.report.screen_page import write_screen as write_screen

__all__ = ["write_report", "write_screen"]


def __getattr__(name: str) -> Any:
    """Imported when first used: charts and templates are heavy."""
    if name == "write_report":
        from proxy_model.experiment.report.page import write_report

        return write_report
    if name == "write_screen":
        from proxy_model.experiment.report.screen_page import write_screen

        return write_screen
    raise AttributeError(name)
