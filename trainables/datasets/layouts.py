"""Layouts of image folders: which level of folders names classes, and which names splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from search_spaces.sweeps import DataLayout
from trainables.datasets.splits import SPLITS
from trainables.errors import DataError

__all__ = ["Layout", "find_layout", "split_named_by", "split_of_path", "without_split"]

_UNLABELLED: Final = "unlabelled"
_ROLES: Final = {
    "train": ("train", "training", "trn", "trainval"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "confirm": ("confirm", "confirmation"),
    "test": ("test", "testing", "tst", "holdout", "eval", "evaluation"),
    _UNLABELLED: ("pred", "predict", "prediction", "predictions", "unlabelled", "unlabeled", "inference"),
}
_ROLE_OF_WORD: Final = {word: role for role, words in _ROLES.items() for word in words}
_ENDINGS: Final = ("sets", "set", "data", "images", "imgs", "img")
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SAY_IT: Final = "data.layout says how they are meant: class, split/class or class/split"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A reading of the folders below a root.

    Attributes:
        kind: `class` (CLASS/image), `split/class` (SPLIT/CLASS/image) or `class/split` (CLASS/SPLIT/image); images may
            lie deeper.
        base: folder below the root at which the layout starts, such as `archive/`; "" for the root.
        splits: path of a folder below `base` (of `class/split`, below a class) -> train, val, confirm or test.
    """

    kind: DataLayout
    base: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)

    def locate(self, image: str) -> tuple[str, str] | str:
        """Return (class, split) of an image by its path, or the reason for which it has none.

        The split is "" if no folder names it.
        """
        first, *deeper = image.removeprefix(self.base).split("/")[:-1] or [""]
        if not image.startswith(self.base) or not first:
            return "not in a class folder"
        if self.kind == "class":
            return first, ""
        if self.kind == "class/split":
            split = self.splits.get(deeper[0]) if deeper else None
            return (first, split) if split else f"not in a split of {first}"
        for folder, split in self.splits.items():
            parts = folder.split("/")
            if [first, *deeper][: len(parts)] == parts:
                inner = [first, *deeper][len(parts) :]
                return (inner[0], split) if inner else f"in {folder}, but in none of its class folders"
        return f"in {first}, which is no split with classes"

    def describe(self) -> str:
        """Return how the folders are read, such as `split/class, Training is train, Testing is test`."""
        below = f" below {self.base.rstrip('/')}" if self.base else ""
        return ", ".join([f"{self.kind}{below}", *(f"{folder} is {split}" for folder, split in self.splits.items())])


def split_named_by(name: str) -> str | None:
    """Return the split that the name of a folder or file tells, such as `test` for `seg_test` and `my-Testing`.

    Names are cut into words, in any case. Returns `unlabelled` for names of images without labels, such as
    `seg_pred`, and None for names that tell no split, or several.
    """
    roles = {role for word in _WORDS.findall(name) if (role := _role(word.lower()))}
    if _UNLABELLED in roles:
        return _UNLABELLED
    if roles == {"train", "val"}:
        return "train"  # `train_val` holds both
    return roles.pop() if len(roles) == 1 else None


def without_split(name: str) -> str:
    """Return the words of a name that tell no split, in lower case, such as `x` for `X_train`."""
    return "_".join(word.lower() for word in _WORDS.findall(name) if _role(word.lower()) is None)


def split_of_path(name: str) -> str | None:
    """Return the split that the name of a file tells, else that of the nearest folder that tells one."""
    return next((role for part in reversed(PurePosixPath(name).parts) if (role := split_named_by(part))), None)


def find_layout(images: Iterable[str], kind: DataLayout | None = None) -> Layout:
    """Find how folders of images are to be read, from the images' paths below a root.

    A single folder that holds all others is entered. Folders are splits if their names tell so and they hold the same
    class folders.

    Args:
        images: the images' paths, with `/` between folders.
        kind: `data.layout`; None to find it.

    Raises:
        DataError: the folders can be read in several ways, or are splits without classes; the message has no place.
    """
    paths = list(images)
    base, folders = _find_base(paths, kind)
    undoubled = dict(_enter_doubled(paths, base, folders))
    if kind == "split/class" or (kind is None and _look_like_splits(undoubled)):
        layout = _read_splits(undoubled)
    elif kind == "class/split" or (kind is None and _all_contain_splits(folders)):
        layout = _read_splits_in_classes(folders)
    else:
        layout = Layout(kind="class")
    return replace(layout, base=base)


Folders = Mapping[str, Counter[str]]
"""Folder -> its own folders -> number of images; "" stands for images that lie in the folder directly."""


def _find_base(images: Sequence[str], kind: DataLayout | None) -> tuple[str, Folders]:
    base = ""
    while True:
        folders = _tree(images, base)
        single = next(iter(folders)) if len(folders) == 1 else None
        is_split = kind == "split/class" and single is not None and split_named_by(single) == "train"
        if single is None or not _inner(folders, single) or is_split:
            return base, folders
        base = f"{base}{single}/"


def _tree(images: Iterable[str], base: str) -> Folders:
    folders: dict[str, Counter[str]] = {}
    for image in images:
        if image.startswith(base):
            *parents, _ = image.removeprefix(base).split("/")
            if parents:
                folders.setdefault(parents[0], Counter())[parents[1] if len(parents) > 1 else ""] += 1
    return folders


def _inner(folders: Folders, name: str) -> set[str]:
    return set(folders[name]) - {""}


def _enter_doubled(images: Sequence[str], base: str, folders: Folders) -> Iterator[tuple[str, Counter[str]]]:
    """Yield the folders; of a split's folder with one of the same name and nothing else, yield that one by its path."""
    for name, inner in folders.items():
        if set(inner) == {name} and split_named_by(name) is not None:
            yield f"{name}/{name}", _tree(images, f"{base}{name}/")[name]
        else:
            yield name, inner


def _look_like_splits(folders: Folders) -> bool:
    """Return if folders must be read as splits, with an error if they cannot.

    Raises:
        DataError: one folder is named after a split and has classes, but folders beside it are not.
    """
    roles = {name: split_named_by(name) for name in folders}
    named = [name for name, role in roles.items() if role is not None]
    training = [name for name, role in roles.items() if role == "train" and len(_inner(folders, name)) > 1]
    if len(named) < len(folders) and _all_contain_splits(folders):
        return False
    if named and (len(named) == len(folders) or (training and len(named) > 1)):
        return True
    if training:
        other = next(name for name, role in roles.items() if role is None)
        raise DataError(
            f"holds {training[0]}, which looks like a split with class folders, and {other}, which does not: {_SAY_IT}"
        )
    return False


def _read_splits(folders: Folders) -> Layout:
    roles = {name: split_named_by(name) for name in folders}
    splits = {name: role for name, role in roles.items() if role in SPLITS and _inner(folders, name)}
    if not splits:
        raise DataError(
            f"holds splits ({', '.join(sorted(folders))}), not classes: give each class a folder of its own, or list "
            f"the images in a manifest with the columns image,label,split"
        )
    classes = {name for folder, role in splits.items() if role == "train" for name in _inner(folders, folder)}
    if not classes:
        raise DataError(f"no folder of training images with class folders ({', '.join(sorted(folders))}): {_SAY_IT}")
    for name in sorted(folders):
        strange = sorted(_inner(folders, name) - classes)
        if name in splits and strange:
            raise DataError(
                f"class folders of {name} must be among those of the training images ({', '.join(strange[:5])}): "
                f"rename them, or give images to train on"
            )
        if roles[name] is None and not strange and _inner(folders, name):
            raise DataError(f"{name} holds the same class folders as the splits, but names none: {_SAY_IT}")
    return Layout(kind="split/class", splits=_in_order(splits))


def _all_contain_splits(folders: Folders) -> bool:
    """Return if each class folder holds folders that are named after splits, one of them for training."""
    return len(folders) > 1 and all(
        "" not in inner and {"train"} <= {split_named_by(name) for name in inner} <= {*_ROLES}
        for inner in folders.values()
    )


def _read_splits_in_classes(folders: Folders) -> Layout:
    names = sorted({name for folder in folders for name in _inner(folders, folder)})
    splits = {name: role for name in names if (role := split_named_by(name)) in SPLITS}
    if "train" not in splits.values():
        raise DataError(f"no class folder holds a folder of training images ({', '.join(names[:5])}): {_SAY_IT}")
    return Layout(kind="class/split", splits=_in_order(splits))


def _in_order(splits: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(splits.items(), key=lambda named: (SPLITS.index(named[1]), named[0])))


def _role(word: str) -> str | None:
    stems = (word.removesuffix(ending) for ending in ("", *_ENDINGS) if word.endswith(ending))
    return next((_ROLE_OF_WORD[stem] for stem in stems if stem in _ROLE_OF_WORD), None)
