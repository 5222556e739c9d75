"""A real PostgreSQL for MLflow's server."""

from tests.databases import new_postgresql, postgresql

__all__ = ["new_postgresql", "postgresql"]
