"""Checks of the machine and the home, a file each."""
