"""Ray Tune runs over a coordinator."""

from service.tune.tune_runs import tune_session

__all__ = ["tune_session"]
