"""Fixtures of stores."""

from tests.object_stores import bucket, s3_variables

__all__ = ["bucket", "s3_variables"]
