"""Commands of the command line: `app` joins them, and each is a file named after it."""
