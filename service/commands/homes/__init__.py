"""Commands about a home and its machine; a file a command."""
