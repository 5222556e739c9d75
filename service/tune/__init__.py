"""Ray Tune runs over a coordinator."""

from service.tune.tune_runs import run_tune

__all__ = ["run_tune"]
