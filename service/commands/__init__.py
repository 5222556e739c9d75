"""What each command does; `service.cli` imports them one at a time."""
