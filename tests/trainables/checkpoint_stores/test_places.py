"""Places of stores as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.checkpoint_stores import is_remote, mask_place, name_of_place, parent_place, read_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket/folder/", "s3://bucket/folder"),
        ("sftp://user@host/mnt/x", "sftp://user@host/mnt/x"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x"),
        ("file:///mnt/a%20b/", "/mnt/a b"),
        ("/mnt/x", "/mnt/x"),
        ("x", "/base/x"),
    ],
)
def test_a_place_is_an_absolute_path_or_a_uri(text: str, place: str) -> None:
    assert read_place(text, Path("/base")) == place
    assert is_remote(place) == (":" in place)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("s3://key:secret@bucket/x", "must hold no credentials"),
        ("s3://secret@bucket/x", "must hold no credentials"),
        ("sftp://user:secret@host/x", "must hold no credentials"),
        ("az://container/x?sig=secret", "must have no [?]"),
        ("simplecache::s3://bucket", "not a chain"),
        ("file://host/x", "three slashes"),
        ("file:///", "three slashes"),
        ("s3://", "must name a bucket"),
        (" ", "must be a folder or a URI"),
        ("s3://[::1/x", "must be"),
    ],
)
def test_a_place_that_cannot_be_used_breaks_a_rule_that_names_no_secret(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        read_place(text, Path("/base"))
    assert "secret" not in str(caught.value)
    assert "secret" not in mask_place(text)


def test_parts_of_a_place() -> None:
    assert parent_place("s3://bucket/a/b") == "s3://bucket/a"
    assert name_of_place("s3://bucket/a/b") == name_of_place("/a/b") == "b"
