"""Commands that help to write a sweep file; none of them needs a home. A file a command."""
