"""Reads pictures in any format that Pillow opens, for training and for prediction alike, as 8-bit grey or RGB.

- A picture is turned as its EXIF orientation says. Of several frames or pages, the first counts. Colour profiles are ignored.
- Of 16 bits per channel, the upper 8 are kept. Floats are taken to lie in [0, 1].
- Transparent pixels are shown over white.
- A palette counts as colour unless all its pixels are grey. Pictures of one data set are read as RGB if any has colour.

Whatever cannot be read so is refused with a UserError that names the file and the reason.
"""

import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import permutations
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from fastresnet.errors import UserError, first_line

Mode = Literal["L", "RGB"]
MODES: Mapping[int, Mode] = {1: "L", 3: "RGB"}
"""The mode in which pictures are read, by the network's number of input channels."""
_MADE_BY_TOOLS = {
    "#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@tmp", "__macosx", "__pycache__", "cvs",
    "lost+found", "recycler", "system volume information", "~snapshot",
    "desktop.ini", "ehthumbs.db", "ehthumbs_vista.db", "icon\r", "picasa.ini", "thumbs.db", "thumbs.db:encryptable",
}  # fmt: skip
_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""By what Pillow multiplies the grey pixels of a PNG of 2 or 4 bits. It leaves the grey that is transparent as it is."""
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # a tag of TIFF that Pillow heeds for 8 bits only


def read_class_folders(
    folder: Path, splits: Sequence[str], mode: Mode | None, side: int | None, *, progress: bool
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Reads the pictures SPLIT/CLASS/* of a folder: images uint8 [N, C, H, W] and labels int64 [N] of each split, and the names
    of the classes in alphabetical order.

    Hidden folders and files, those that systems and tools leave behind, and other files than pictures beside the folders of the
    classes are skipped. `mode` and `side` are those of
    `read_pictures`. Raises UserError if a split lacks a class, or a class has no picture.
    """
    classes = {split: _class_folders(folder / split) for split in splits}
    for split, other in permutations(splits, 2):
        if lacking := sorted(classes[other].keys() - classes[split].keys()):
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            raise UserError(f"{folder / split}: no folder for the classes of {other}: {', '.join(lacking[:5])}{more}")
    names = tuple(sorted(classes[splits[0]]))
    listed = {
        split: [(file, label) for label, name in enumerate(names) for file in _files(found[name])]
        for split, found in classes.items()
    }
    images = read_pictures([file for each in listed.values() for file, _ in each], mode, side, progress=progress)
    arrays = {}
    for split, each in listed.items():
        labels = np.array([label for _, label in each], np.int64)
        arrays[split], images = (images[: len(each)], labels), images[len(each) :]
    return arrays, names


def read_pictures(files: Sequence[Path], mode: Mode | None, side: int | None, *, progress: bool) -> np.ndarray:
    """Reads pictures of one data set as uint8 [N, C, H, W].

    With `mode` None, they are grey if every one is. If they differ in size, all are resized to `side` x `side`; without a side,
    UserError names the first that differs.
    """
    pictures: list[Image.Image] = []
    size, several_sizes = None, False
    for file in tqdm(files, desc="reading pictures", unit="picture", disable=not progress):
        picture = read_picture(file, mode)
        size = size or picture.size
        if picture.size != size and not several_sizes:
            if side is None:
                raise UserError(
                    f"{file}: {_by(picture.size)} pixels, unlike {files[0]} with {_by(size)}; allowed: pictures of one size, or "
                    "data.image_size, to which all are brought"
                )
            several_sizes = True
            pictures = [_resized(each, side) for each in pictures]
        pictures.append(_resized(picture, side) if side and several_sizes else picture)
    common = mode or ("RGB" if any(picture.mode == "RGB" for picture in pictures) else "L")
    return np.stack([as_pixels(picture.convert(common)) for picture in pictures])


def read_picture(source: Path | BinaryIO, mode: Mode | None = None, name: str | None = None) -> Image.Image:
    """Reads one picture in the given mode or, with None, in grey if it has no colour. `name` names a source without a path."""
    try:
        if isinstance(source, Path) and not source.is_file():
            raise UserError("not a file" if source.exists() else "no such file")
        # Pillow's warnings are about metadata or mere size, and name no file
        # by path, Pillow maps uncompressed TIFFs into memory and scrambles those that are stored on their side
        opened = source.open("rb") if isinstance(source, Path) else nullcontext(source)
        with warnings.catch_warnings(action="ignore"), opened as file, Image.open(file) as image:
            _check_readable(image)
            has_16_bits = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
            ImageOps.exif_transpose(image, in_place=True)
            picture = _from_deep(image) if image.mode[0] in "IF" else _from_8_bits(image)
            if has_16_bits and 0 < np.asarray(picture).max() < 16:
                raise UserError("no channel reaches a sixteenth of 65535; scale its pixels to 0 to 65535, or save it in 8 bits")
        return picture.convert(mode) if mode else picture
    except Exception as error:  # Pillow's readers raise ValueError, SyntaxError, struct.error and more; it documents no list
        raise UserError(f"{name or source}: not an image that can be read: {_reason(error)}") from error


def as_pixels(picture: Image.Image) -> np.ndarray:
    """The pixels of a grey or RGB picture as uint8 [C, H, W]."""
    pixels = np.array(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_readable(image: Image.Image) -> None:
    if image.format == "EPS":
        raise UserError("a PostScript program, which Pillow would run in Ghostscript")
    if image.format == "PNG" and "transparency" in image.info:
        depths = [tile.args for tile in getattr(image, "tile", ())]
        if "RGB;16B" in depths:
            raise UserError("it has a transparent colour of 16 bits, which Pillow does not apply")
        for depth in depths:
            image.info["transparency"] *= _GREY_STEPS.get(depth, 1)


def _from_8_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    if mode in ("1", "L", "LA"):
        return image.convert("L")
    picture = image.convert("RGB")
    return picture.convert("L") if mode in ("P", "PA") and _is_grey(picture) else picture


def _from_deep(image: Image.Image) -> Image.Image:
    """Converts a grey image of more than 8 bits per pixel to 8 bits. Raises UserError if its values do not show which
    of them is white."""
    pixels = np.asarray(image)
    white = 1 if image.mode == "F" else 65_535
    low, high = pixels.min(), pixels.max()
    if not 0 <= low <= high <= white:  # also if they are not numbers
        kind = "floats" if white == 1 else "whole numbers"
        raise UserError(f"its pixels are from {low:g} to {high:g}; allowed: {kind} from 0 to {white}, or 8 bits")
    if 0 < high < white / 16:
        raise UserError(f"its brightest pixel is {high:g} of {white}; scale its pixels to 0 to {white}, or save it in 8 bits")
    grey = np.rint(pixels * 255) if white == 1 else pixels >> 8
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    if "transparency" in image.info:
        grey = np.where(pixels == image.info["transparency"], 255, grey)
    return Image.fromarray(grey.astype(np.uint8))


def _class_folders(split: Path) -> dict[str, Path]:
    """The folders of a split by class name, in one Unicode form: macOS writes an accent as a character of its own."""
    if not split.is_dir():
        raise UserError(f"{split}: no such folder; expected one, with a folder per class")
    found: dict[str, Path] = {}
    for child in sorted(split.iterdir()):
        if _is_skipped(child):
            continue
        if not child.exists():
            raise UserError(f"{child}: a link that leads nowhere")
        if child.is_dir():
            name = unicodedata.normalize("NFC", child.name)
            if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
                raise UserError(f"{child}: the name of a class must be UTF-8 text without control characters, got {name!r}")
            if name in found:
                raise UserError(f"{child}: the class {name} has two folders, whose names differ only in their Unicode form")
            found[name] = child
        elif child.suffix.lower() in Image.registered_extensions():
            raise UserError(f"{child}: a picture beside the folders of the classes, which no class has; move or remove it")
    if len(found) < 2:
        raise UserError(f"{split}: expected one folder per class, at least two; found {len(found)}")
    return found


def _files(class_folder: Path) -> list[Path]:
    files = [child for child in sorted(class_folder.iterdir()) if not _is_skipped(child)]
    if not files:
        raise UserError(f"{class_folder}: no picture of this class")
    for file in files:
        if file.is_dir():
            raise UserError(f"{file}: a folder within a class; allowed: pictures alone")
    return files


def _is_skipped(path: Path) -> bool:
    return path.name.startswith(".") or path.name.casefold() in _MADE_BY_TOOLS


def _resized(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize((side, side), Image.Resampling.BILINEAR)


def _is_grey(picture: Image.Image) -> bool:
    red, green, blue = picture.split()
    return red == green == blue


def _by(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its own message shows an object in memory
        return "empty, cut short, or of no known format"
    return getattr(error, "strerror", None) or first_line(error)
