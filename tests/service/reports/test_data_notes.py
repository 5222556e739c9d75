"""Sentences on how images were read."""

from __future__ import annotations

from service.reports import data_notes

COPIES = {
    "groups": 3,
    "images": 1_200,
    "across_splits": 0,
    "contradictory_labels": 0,
    "across_splits_examples": [],
    "contradictory_labels_examples": [],
}


def test_plain_class_folders_and_older_sweeps_need_no_words() -> None:
    assert data_notes({}) == []
    assert data_notes({"layout": "class", "left_out": [], "copies": {**COPIES, "groups": 0}}) == []
    assert data_notes({"layout": "", "copies": None}) == []


def test_folders_read_as_splits_are_told() -> None:
    assert data_notes({"layout": "split/class, Training is train"}) == [
        "folders are read as split/class, Training is train"
    ]
    assert data_notes({"layout": "class below archive"}) == ["folders are read as class below archive"]


def test_columns_are_told() -> None:
    read = "a manifest: images in `id`, labels in `breed`"
    assert data_notes({"layout": read}) == [f"read as {read}"]


def test_files_left_out_are_counted_in_one_line_by_reason() -> None:
    groups = [
        {"reason": "not an image", "files": 7_301, "examples": ["a.txt", "b.txt"]},
        {"reason": "hidden", "files": 1, "examples": [".x y"]},
    ]

    assert data_notes({"left_out": groups}) == ["left out: 7,301 not an image (a.txt, b.txt, ...); 1 hidden (.x y)"]


def test_copies_are_told_with_the_way_out() -> None:
    assert data_notes({"copies": COPIES}) == ["1,200 images are copies of each other, in 3 groups, each in one split"]
    examples = ["a (train) and b (test)", "c (train) and d (val)", "e (val) and f (test)"]
    across = {"across_splits": 3, "across_splits_examples": examples}
    labels = {"contradictory_labels": 1, "contradictory_labels_examples": ["a (cat) and b (dog)"]}

    assert data_notes({"copies": COPIES | across | labels}) == [
        "1,200 images are copies of each other, in 3 groups; 3 groups in several splits, which can make scores too "
        "high: a (train) and b (test); c (train) and d (val); ... (data.split.copies: together keeps copies in one "
        "split)",
        "1 group of copies with several labels: a (cat) and b (dog)",
    ]
    given = COPIES | across | {"kept_together": True}
    assert "(the source gives these splits; take the copies out of all but one)" in data_notes({"copies": given})[0]
