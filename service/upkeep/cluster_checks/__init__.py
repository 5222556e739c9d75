"""Checks of the nodes of a cluster, a file each."""
