"""Commands that take the result of a sweep into production."""
