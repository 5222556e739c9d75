"""The drivers of a service: a process a sweep, the pool of lanes that all share, and the supervisor of both."""
