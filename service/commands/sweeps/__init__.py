"""Commands that run sweeps, look at them and steer them; a file a command."""
