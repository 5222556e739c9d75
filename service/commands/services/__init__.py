"""Commands that run a service, choose one, sign in to it, and keep its users and tokens; a file a command."""
