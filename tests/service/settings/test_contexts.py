"""Contexts: where they are kept, which one wins, and to whom a token may be sent."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from service.errors import UsageError
from service.settings import (
    Context,
    ContextBook,
    Home,
    check_url,
    choose_context,
    describe_overruling,
    find_local_service,
)
from service.settings.sources import has_settings, user_file

LAB = Context(name="lab", url="https://lab.example.org", token="mp_lab")
OTHER = Context(name="other", url="http://127.0.0.1:9000", token="mp_other")


@pytest.fixture(autouse=True)
def _project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter an empty project folder, with a config folder of the user and no MELTPOINT_ variable."""
    for name in [name for name in os.environ if name.startswith("MELTPOINT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def chosen(name: str | None = None) -> tuple[str, str] | None:
    """Return the address and the token that commands would use."""
    context = choose_context(name)
    return None if context is None else (context.url, context.token)


def test_without_a_context_commands_act_on_the_home() -> None:
    assert choose_context() is None
    assert not ContextBook.file().exists()


def test_a_book_is_kept_in_a_file_that_only_its_user_can_read() -> None:
    ContextBook().with_context(LAB).with_context(OTHER).save()
    assert stat.S_IMODE(ContextBook.file().stat().st_mode) == 0o600
    book = ContextBook.load()
    assert (book.contexts, book.current) == ({"lab": LAB, "other": OTHER}, "other")
    assert [file.name for file in ContextBook.file().parent.iterdir()] == ["contexts.json"]


def test_a_user_without_a_folder_has_no_contexts_and_can_keep_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 54321)

    assert ContextBook.load() == ContextBook()
    assert not has_settings()
    with pytest.raises(UsageError, match=r"^~/.config/.*contexts.json cannot be written: .*54321; set HOME or XDG"):
        ContextBook().with_context(LAB).save()


def test_a_file_that_others_can_read_is_refused() -> None:
    ContextBook().with_context(LAB).save()
    ContextBook.file().chmod(0o644)
    with pytest.raises(UsageError, match="other users can read it; run: chmod 600"):
        ContextBook.load()


@pytest.mark.parametrize("text", ["", "[]", '{"contexts": {"a": 1}, "current": null}', '{"contexts": {}}'])
def test_a_damaged_file_is_one_sentence(text: str) -> None:
    ContextBook().save()
    ContextBook.file().write_text(text)
    with pytest.raises(UsageError, match=r"contexts.json is damaged .* sign in again with: meltpoint login URL"):
        ContextBook.load()


def test_the_current_context_is_chosen_and_forgotten_by_name() -> None:
    book = ContextBook().with_context(LAB).with_context(OTHER).with_current("lab")
    assert book.current == "lab"
    assert book.with_current(None).current is None
    assert (book.without("lab").current, list(book.without("lab").contexts)) == (None, ["other"])
    assert book.without("other").current == "lab"
    with pytest.raises(UsageError, match=r"no context lap; did you mean lab\?"):
        book.with_current("lap")


def test_the_flag_wins_over_the_variable_that_over_files_and_those_over_the_current_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    books = [Context(name=name, url=f"https://{name}.org", token=f"mp_{name}") for name in "abcde"]
    book = ContextBook()
    for context in books:
        book = book.with_context(context)
    book.save()
    assert chosen() == ("https://e.org", "mp_e")
    user_file().write_text('service = "d"\n')
    assert chosen() == ("https://d.org", "mp_d")
    Path("meltpoint.toml").write_text('service = "c"\n')
    assert chosen() == ("https://c.org", "mp_c")
    monkeypatch.setenv("MELTPOINT_SERVICE", "b")
    assert chosen() == ("https://b.org", "mp_b")
    assert chosen("a") == ("https://a.org", "mp_a")


def test_a_variable_may_name_an_address_with_a_token_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTPOINT_SERVICE", "http://127.0.0.1:8000/")
    with pytest.raises(
        UsageError, match=r"no token for http://127.0.0.1:8000 \(from MELTPOINT_SERVICE\); sign in with"
    ):
        choose_context()
    monkeypatch.setenv("MELTPOINT_TOKEN", "mp_variable")
    assert chosen() == ("http://127.0.0.1:8000", "mp_variable")


def test_a_wrong_token_in_the_variable_is_replaced_there_not_by_login(monkeypatch: pytest.MonkeyPatch) -> None:
    ContextBook().with_context(LAB).save()
    assert (
        choose_context() or LAB
    ).way_to_renew == "sign in with another token: meltpoint login https://lab.example.org"
    monkeypatch.setenv("MELTPOINT_SERVICE", "http://127.0.0.1:8000")
    monkeypatch.setenv("MELTPOINT_TOKEN", "mp_variable")
    context = choose_context()
    assert context is not None
    assert context.way_to_renew == (
        "it is the one in the variable MELTPOINT_TOKEN. Put another one there; or type `unset MELTPOINT_TOKEN`, and "
        "sign in with: meltpoint login http://127.0.0.1:8000"
    )
    monkeypatch.setenv("MELTPOINT_SERVICE", "lab")
    context = choose_context()
    assert context is not None
    assert context.way_to_renew.endswith("and the token that `meltpoint login` has stored is used")


def test_who_chooses_a_context_is_told_of_what_overrules_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ContextBook().with_context(OTHER).with_context(LAB).save()
    assert describe_overruling(LAB) == ""
    Path("meltpoint.toml").write_text('service = "other"\n')
    assert describe_overruling(LAB) == "; but meltpoint.toml names other (http://127.0.0.1:9000), and wins"
    assert describe_overruling(None) == describe_overruling(LAB)
    assert describe_overruling(OTHER) == ""
    monkeypatch.setenv("MELTPOINT_SERVICE", "https://lab.example.org")
    assert describe_overruling(LAB) == ""
    monkeypatch.setenv("MELTPOINT_TOKEN", "mp_variable")
    assert describe_overruling(LAB) == "; but MELTPOINT_TOKEN is set, and its token is sent"
    monkeypatch.setenv("MELTPOINT_SERVICE", "nobody")
    assert "no context nobody" in describe_overruling(LAB)


def test_a_projects_file_cannot_send_the_variables_token_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTPOINT_TOKEN", "mp_variable")
    Path("meltpoint.toml").write_text('service = "https://elsewhere.example.org"\n')
    with pytest.raises(UsageError, match=r"no token for https://elsewhere.example.org"):
        choose_context()
    ContextBook().with_context(LAB).save()
    Path("meltpoint.toml").write_text('service = "https://lab.example.org"\n')
    assert chosen() == ("https://lab.example.org", "mp_lab")


def test_a_token_does_not_show_when_a_context_is_printed() -> None:
    assert "mp_lab" not in f"{LAB} {LAB!r}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://lab.example.org/", "https://lab.example.org"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:8000", "http://localhost:8000"),
        ("lab.example.org", "https://lab.example.org"),
        ("https://lab.example.org/sweeps/", "https://lab.example.org/sweeps"),
    ],
)
def test_an_address_is_completed(text: str, url: str) -> None:
    assert check_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "ftp://lab", "https://", "https://user:word@lab", "https://lab?x=1", "http://lab:port", "http://lab:99999"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must be like https://"):
        check_url(text)


def test_the_service_on_a_home_is_found_while_it_runs(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    assert find_local_service(home) is None
    (home.root / "admin-token").write_text("mp_admin\n")
    facts = {"url": "http://127.0.0.1:8000/", "pid": os.getpid(), "started_at": 0}
    (home.root / "service.json").write_text(json.dumps(facts))
    local = find_local_service(home)
    assert local is not None
    assert (local.url, local.token) == ("http://127.0.0.1:8000", "mp_admin")
    (home.root / "service.json").write_text(json.dumps(facts | {"pid": 2**22 - 1}))
    assert find_local_service(home) is None
