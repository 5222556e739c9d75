"""`meltpoint manifest`, and what `init` makes of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from search_spaces import load_spec
from service.commands.app import app, report
from trainables.datasets.sources import load_table


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of splits, beside which the commands run."""
    for number, name in enumerate(("Training/cat/1", "Training/dog/2", "Testing/cat/3", "valid/dog/4")):
        file = tmp_path / "photos" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 30 * number).save(file)
    (tmp_path / "photos" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def meltpoint(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def follow(hint: str) -> Path:
    """Run the command that a hint names, which must be `init`; return the sweep file."""
    words = shlex.split(hint.partition("next: meltpoint ")[2].splitlines()[0])
    assert words[0] == "init"
    assert meltpoint(*words).exit_code == 0
    return Path(words[1])


def test_a_manifest_of_a_folder_is_told_and_swept_over(tmp_path: Path) -> None:
    result = meltpoint("manifest", "photos", "-f", "photos.csv")

    assert result.stdout.splitlines() == [
        "wrote photos.csv: 4 images of 2 classes, with the columns image, label and split",
        "folders are read as split/class, Training is train, valid is val, Testing is test",
        "left out: 1 not an image (notes.txt)",
        "rows with an empty split are divided by the sweep's data.split; train keeps them all for training",
    ]
    assert (tmp_path / "photos.csv").read_text().splitlines() == [
        "image,label,split",
        "photos/Testing/cat/3.png,cat,test",
        "photos/Training/cat/1.png,cat,",
        "photos/Training/dog/2.png,dog,",
        "photos/valid/dog/4.png,dog,val",
    ]
    spec = load_spec(follow(result.stderr))
    assert spec.data.source == "photos.csv"
    assert len(load_table(spec.data.source, base_dir=spec.folder).images) == 4
    (tmp_path / "photos.csv").unlink()
    assert "init photos-2.yaml" in meltpoint("manifest", "photos", "-f", "photos.csv").stderr


def test_images_beside_the_manifest_s_folder_have_a_root(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "lists").mkdir()
    written = meltpoint("manifest", "photos", "-f", "lists/a.csv", "--set", "data.layout=class", "-o", "json")

    facts = json.loads(written.stdout)
    assert (facts["root"], facts["classes"]) == (str(photos), ["Testing", "Training", "valid"])
    assert (tmp_path / "lists" / "a.csv").read_text().splitlines()[1] == "Testing/cat/3.png,Testing"
    spec = load_spec(follow(written.stderr))
    assert spec.data.root == str(photos)
    assert load_table(spec.data.source, base_dir=spec.folder, root=spec.data.root).classes == tuple(facts["classes"])


def test_a_label_file_is_written_plainly_and_asks_for_what_is_unclear(tmp_path: Path, photos: Path) -> None:
    lines = ["id;breed;colour", "Training\\cat\\1;x;red", "Training\\dog\\2;y;red", "valid\\dog\\4;y;blue"]
    (photos / "odd.csv").write_text("\n".join(lines))
    (photos.parent / "ids.csv").write_text("id,breed\ncat/1,x\ndog/2,y\n")

    def asked(*arguments: str) -> list[str]:
        """Return the arguments with the option that the refusal names."""
        result = meltpoint(*arguments)
        assert isinstance(result.exception, Exception)
        assert report(result.exception) == 2
        return [*arguments, *shlex.split(str(result.exception).rpartition(" add ")[2])]

    again = asked("manifest", "photos/odd.csv", "-f", "plain.csv")
    assert again[-1] == "data.columns.label=breed"
    assert meltpoint(*again).exit_code == 0
    assert (tmp_path / "plain.csv").read_text().splitlines()[1] == "photos/Training/cat/1.png,x"
    assert meltpoint(*asked("manifest", "photos/odd.csv", "-f", "plain.csv", "--force")).exit_code == 0
    again = asked("init", "--data", "ids.csv")
    assert again[-1] == "data.root=photos/Training"
    assert meltpoint(*again).exit_code == 0
    spec = load_spec(tmp_path / "sweep.yaml")
    assert (spec.data.source, spec.data.root) == ("ids.csv", "photos/Training")
    again = asked("init", "b.yaml", "--data", "photos/odd.csv")
    assert meltpoint(*again).exit_code == 0
    assert load_spec(tmp_path / "b.yaml").data.columns.label == "breed"


def test_a_file_that_exists_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")

    result = meltpoint("manifest", "photos", "-f", "a.csv")

    assert str(result.exception) == "a.csv exists already; --force writes over it"
    assert (tmp_path / "a.csv").read_text() == "mine"
