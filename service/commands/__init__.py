"""What each command does; `service.commands.app` imports them one at a time."""
