"""Pictures of one's own: how each kind is read, and what is refused by name."""

import csv
import io
import os
import struct
import unicodedata
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from fastresnet.data.formats import read_parquet
from fastresnet.data.images import ImageSet, from_tensors
from fastresnet.data.loaders import loaders
from fastresnet.data.pictures import read_picture
from fastresnet.data.sources import load_dataset, verify
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.models.saved import SavedModel, save_model
from fastresnet.training.runs import train

from .conftest import command_here, refused
from .test_sources import write_shard

SIDE = 8
GREY = Image.new("L", (SIDE, SIDE), 100)
COLOUR = Image.new("RGB", (SIDE, SIDE), (200, 100, 0))
SIXTEEN_BITS = np.array([[0, 0x12FF], [0x8000, 65_535]], np.uint16)


@pytest.fixture
def mine(tmp_path):
    """A folder with a grey picture of cats and dogs in each split."""
    for split in ("train", "test"):
        for name in ("cats", "dogs"):
            (tmp_path / split / name).mkdir(parents=True)
            GREY.save(tmp_path / split / name / "0.png")
    return tmp_path


@pytest.fixture
def network(tiny):
    """A network for grey pictures, as it is saved; its weights are random."""
    return SavedModel(tiny, build_model(tiny.model, seed=0).eval(), tuple("abcdefghij"), (1, 28, 28), (0.5,), (0.5,))


def encoded(picture, kind="PNG", **options):
    """The bytes of a picture in a file format."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def read(content, mode=None):
    return read_picture(io.BytesIO(content), mode, "a picture")


def png(width, height, bits, colour_type, rows, transparent=b""):
    """A PNG of a kind that Pillow does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    pixels = b"".join(b"\0" + row for row in rows)
    parts = (
        (b"IHDR", header),
        *([(b"tRNS", transparent)] if transparent else []),
        (b"IDAT", zlib.compress(pixels)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("tool", [".ipynb_checkpoints", "__MACOSX", "@eaDir", "__pycache__", "$RECYCLE.BIN"])
def test_folders_that_tools_leave_are_no_classes(mine, tool):
    (mine / "train" / tool).mkdir()
    (mine / "train" / "cats" / tool).mkdir()
    (mine / "train" / tool / "0-checkpoint.png").write_bytes(encoded(GREY))
    assert load_dataset(f"folder:{mine}").train.class_names == ("cats", "dogs")


@pytest.mark.parametrize("tool", ["Thumbs.db", "thumbs.db", "desktop.ini", ".DS_Store", "._0.png", "Icon\r"])
def test_files_that_tools_leave_are_no_pictures(mine, tool):
    (mine / "train" / "cats" / tool).write_bytes(b"no picture")
    assert len(load_dataset(f"folder:{mine}").train) == 2


def no_newts(mine):
    for split in ("train", "test"):
        (mine / split / "newts").mkdir()
        (mine / split / "newts" / "Thumbs.db").touch()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda mine: (mine / "train" / "newts").mkdir(), "test: no folder for the classes of train: newts$"),
        (lambda mine: (mine / "test" / "newts").mkdir(), "train: no folder for the classes of test: newts$"),
        (no_newts, "train/newts: no picture of this class"),
        (lambda mine: (mine / "train" / "stray.JPG").touch(), r"train/stray\.JPG: a picture beside the folders of the classes"),
        (lambda mine: (mine / "test" / "cats" / "kittens").mkdir(), "test/cats/kittens: a folder within a class"),
        (lambda mine: (mine / "test").rename(mine / "val"), "test: no such folder"),
        (lambda mine: (mine / "test" / "newts").symlink_to(mine / "gone"), "test/newts: a link that leads nowhere"),
    ],
    ids=["test lacks a class", "train lacks one", "no picture", "stray picture", "folder in a class", "no test", "broken link"],
)
def test_folders_that_are_no_classes_in_two_splits_are_named(mine, spoil, message):
    (mine / "train" / "labels.csv").touch()
    assert len(load_dataset(f"folder:{mine}").train) == 2
    spoil(mine)
    with pytest.raises(UserError, match=message):
        load_dataset(f"folder:{mine}")


def test_class_names_are_equal_in_every_form_of_unicode(mine):
    for split, form in (("train", "NFC"), ("test", "NFD")):
        (mine / split / "dogs").rename(mine / split / unicodedata.normalize(form, "café"))
    assert load_dataset(f"folder:{mine}").test.class_names == ("café", "cats")
    (mine / "train" / unicodedata.normalize("NFD", "café")).mkdir()
    with pytest.raises(UserError, match="the class café has two folders"):
        load_dataset(f"folder:{mine}")


@pytest.mark.parametrize("name", [b"l\xe9", b"new\nline", b"tab\tname", b"\x1b[31mred"])
def test_class_name_that_no_line_of_text_can_hold_is_refused(mine, name):
    for split in ("train", "test"):
        (mine / split / "dogs").rename(mine / split / os.fsdecode(name))
    with pytest.raises(UserError, match="the name of a class must be UTF-8 text without control characters, got '"):
        load_dataset(f"folder:{mine}")


def test_classes_of_tensors_that_differ_are_named():
    train, test = (
        ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), names) for names in (("a", "b"), ("a", "c"))
    )
    with pytest.raises(UserError, match="differ in their classes: b, c$"):
        from_tensors("mine", train, test)


def test_first_pictures_are_of_all_classes(tmp_path):
    for split, name, value in product(("train", "test"), ("cats", "dogs"), range(8)):
        (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), value + 100 * (name == "dogs")).save(tmp_path / split / name / f"{value}.png")
    for split in (load_dataset(f"folder:{tmp_path}").train, load_dataset(f"folder:{tmp_path}").test):
        assert set(split.labels[:8].tolist()) == {0, 1}
        assert torch.equal(split.images[:, 0, 0, 0] >= 100, split.labels == 1)


def test_one_picture_in_colour_makes_the_set_colour(mine):
    COLOUR.save(mine / "test" / "cats" / "1.png")
    dataset = load_dataset(f"folder:{mine}")
    assert dataset.train.images.shape == (2, 3, SIDE, SIDE)
    assert (dataset.train.images == 100).all()
    assert dataset.mean == pytest.approx((100 / 255,) * 3, abs=1e-6)
    assert dataset.test.images[1, :, 0, 0].tolist() == [200, 100, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_network_says_whether_pictures_are_grey(mine, tiny, channels):
    COLOUR.save(mine / "train" / "cats" / "1.png")
    config = tiny.with_changes(
        {"data.name": f"folder:{mine}", "model.num_classes": 2, "model.in_channels": channels, "train.epochs": 1}
        | {"data.train_images": None, "data.test_images": None}
    )
    assert train(config).saved.image_shape == (channels, SIDE, SIDE)


def test_pictures_of_several_sizes_are_brought_to_image_size(mine):
    several = {
        "1.png": COLOUR.resize((30, 20)),
        "2.png": Image.new("RGBA", (9, 9), (200, 100, 0, 128)),
        "3.png": COLOUR.resize((10, 12)).quantize(),
        "4.png": GREY.resize((50, 8)),
    }
    for name, picture in several.items():
        picture.save(mine / "train" / "cats" / name)
    batches, test = loaders(mine, image_size=16, batch_size=6)
    assert batches.images.images.shape == (6, 3, 16, 16)
    assert test.images.images.shape == (2, 3, 16, 16)
    assert batches.images.images[1, :, 8, 8].tolist() == [200, 100, 0]
    with pytest.raises(UserError, match=r"cats/1\.png: 30x20 pixels, unlike .*cats/0\.png with 8x8; allowed: .*data\.image_size"):
        load_dataset(f"folder:{mine}")
    assert len(verify(f"folder:{mine}").train) == 6  # all are readable


def test_pictures_of_one_size_stay_as_they_are_for_the_augmentation(mine):
    assert load_dataset(f"folder:{mine}", image_size=16).train.images.shape == (2, 1, SIDE, SIDE)


def test_picture_resized_for_training_is_answered_alike(mine, network):
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8))
    wide.save(mine / "train" / "cats" / "0.png")
    split = load_dataset(f"folder:{mine}", channels=1, image_size=28).train
    ((_, answer),) = network.predict_files([mine / "train" / "cats" / "0.png"])
    cat = split.images[split.labels == split.class_names.index("cats")]
    torch.testing.assert_close(answer, network.predict(cat)[0], atol=0.01, rtol=0)


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.fromarray(SIXTEEN_BITS)),
        encoded(Image.fromarray(SIXTEEN_BITS), "TIFF"),
        encoded(Image.fromarray(SIXTEEN_BITS.astype(np.int32)), "TIFF"),
        b"P5 2 2 65535\n" + SIXTEEN_BITS.astype(">u2").tobytes(),
        encoded(Image.fromarray(65_535 - SIXTEEN_BITS), "TIFF", tiffinfo={262: 0}),
    ],
    ids=["PNG", "TIFF", "32-bit TIFF", "PGM", "TIFF in which white is zero"],
)
def test_upper_bits_of_deep_pixels_are_kept(content):
    picture = read(content)
    assert picture.mode == "L"
    assert np.array(picture).tolist() == [[0, 0x12], [0x80, 255]]


def test_floats_are_scaled_to_eight_bits():
    values = np.array([[0, 0.5], [100 / 255, 1]], np.float32)
    assert np.array(read(encoded(Image.fromarray(values), "TIFF"))).tolist() == [[0, 128], [100, 255]]


def test_black_is_black_at_every_depth():
    for kind in (np.uint16, np.int32, np.float32):
        assert not np.array(read(encoded(Image.fromarray(np.zeros((2, 2), kind)), "TIFF"))).any()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[-5, 70_000]], np.int32), r"pixels are from -5 to 70000; allowed: whole numbers from 0 to 65535, or 8 bits"),
        (np.array([[0, 255]], np.float32), r"pixels are from 0 to 255; allowed: floats from 0 to 1, or 8 bits"),
        (np.array([[0, np.nan]], np.float32), r"pixels are from nan to nan; allowed: floats"),
        (np.array([[0, 4095]], np.uint16), r"brightest pixel is 4095 of 65535; scale its pixels"),
        (np.array([[0, 1 / 255]], np.float32), r"brightest pixel is 0\.0039\d* of 1; scale its pixels"),
    ],
    ids=["32 bits", "floats up to 255", "no number", "12 bits", "dark floats"],
)
def test_pixels_that_do_not_tell_what_is_white_are_refused(mine, values, reason):
    Image.fromarray(values).save(mine / "train" / "cats" / "1.tif")
    with pytest.raises(UserError, match=r"cats/1\.tif: not an image that can be read: its " + reason):
        load_dataset(f"folder:{mine}")


def test_colour_of_sixteen_bits_keeps_the_upper_eight():
    assert read(png(1, 1, 16, 2, [bytes([0x12, 0xFF, 0x80, 0, 0xFF, 0xFF])])).getpixel((0, 0)) == (0x12, 0x80, 0xFF)


@pytest.mark.parametrize("colour_type", [2, 6], ids=["RGB", "RGBA"])
def test_colour_of_twelve_bits_in_sixteen_is_refused(colour_type):
    def pixel(value):
        return struct.pack(">HHH", 0, value, 1) + b"\xff\xff" * (colour_type == 6)

    assert read(png(1, 1, 16, colour_type, [pixel(0x1000)])).getpixel((0, 0)) == (0, 16, 0)
    assert read(png(1, 1, 16, colour_type, [pixel(0)])).getpixel((0, 0)) == (0, 0, 0)
    with pytest.raises(UserError, match="no channel reaches a sixteenth of 65535; scale its pixels to 0 to 65535"):
        read(png(1, 1, 16, colour_type, [pixel(0x0FFF)]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO", "16-bit PNG", "palette"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_picture_is_turned_as_a_viewer_shows_it(kind, orientation):
    picture = Image.new("L", (16, 8))
    picture.paste(255, (0, 0, 8, 8))  # the left half
    deep = Image.fromarray(np.array(picture).astype(np.uint16) * 257)
    picture = {"16-bit PNG": deep, "palette": picture.convert("P")}.get(kind, picture)
    exif = Image.Exif()
    exif[274] = orientation
    shown = np.array(read(encoded(picture, kind if kind.isupper() else "PNG", exif=exif), "L")) > 128
    assert shown.shape == {3: (8, 16), 6: (16, 8)}[orientation]
    assert (shown[:, 8:] if orientation == 3 else shown[:8]).all()  # the right half, or the upper
    assert shown.sum() == 64


def with_palette(opacity):
    """Two pixels of a palette of two greys, the first with the opacity."""
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 50, 50, 50])
    picture.putpixel((1, 0), 1)
    return encoded(picture, transparency=bytes([opacity, 255]))


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (encoded(Image.fromarray(np.array([[[0, 0, 0, 0], [50, 50, 50, 255]]], np.uint8))), "RGB"),
        (encoded(Image.fromarray(np.array([[[255, 9, 0, 0], [50, 50, 50, 255]]], np.uint8)), "WEBP", lossless=True), "RGB"),
        (encoded(Image.fromarray(np.array([[[0, 0], [50, 255]]], np.uint8))), "L"),
        (with_palette(0), "L"),
        (encoded(Image.fromarray(np.array([[0, 50]], np.uint8)), transparency=0), "L"),
        (encoded(Image.fromarray(np.array([[[1, 2, 3], [50, 50, 50]]], np.uint8)), transparency=(1, 2, 3)), "RGB"),
        (encoded(Image.fromarray(np.array([[0, 50]], np.uint8)), "GIF", transparency=0), "L"),
        (png(2, 1, 16, 0, [bytes([0xEE, 0xEE, 50, 0])], transparent=b"\xee\xee"), "L"),
        (png(2, 1, 16, 4, [bytes([0, 0, 0, 0, 50, 0, 255, 255])]), "RGB"),
    ],
    ids=["RGBA", "WebP", "LA", "palette", "grey", "RGB", "GIF", "16 bits", "16 bits with alpha"],
)
def test_what_is_transparent_is_white(content, mode):
    picture = read(content)
    assert picture.mode == mode
    assert np.array(picture.convert("L")).tolist() == [[255, 50]]


@pytest.mark.parametrize(
    ("bits", "pixels", "transparent", "shown"),
    [(1, 0b0110_0000, 0, [255] * 4), (2, 0b00_01_10_11, 1, [0, 255, 170, 255]), (4, 0x5A, 5, [255, 170])],
)
def test_transparent_grey_of_few_bits_is_white(bits, pixels, transparent, shown):
    content = png(len(shown), 1, bits, 0, [bytes([pixels])], transparent=bytes([0, transparent]))
    assert np.array(read(content)).tolist() == [shown]


def test_half_transparent_pixels_are_mixed_with_white():
    assert read(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))).getpixel((0, 0)) == (127, 127, 127)
    assert read(with_palette(128)).getpixel((0, 0)) == 127


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (encoded(Image.new("1", (2, 2), 1)), "L"),
        (encoded(Image.new("CMYK", (2, 2)), "JPEG"), "RGB"),
        (encoded(Image.new("LAB", (2, 2), (255, 128, 128)), "TIFF"), "RGB"),
        (encoded(Image.new("L", (2, 2), 255), "GIF", save_all=True, append_images=[Image.new("L", (2, 2))]), "L"),
        (encoded(Image.new("RGB", (2, 2), "white"), "TIFF", save_all=True, append_images=[Image.new("L", (3, 3))]), "RGB"),
        (encoded(Image.new("RGB", (2, 2), "white"), "BMP"), "RGB"),
        (encoded(Image.new("RGB", (2, 2), "white").quantize()), "L"),
        (encoded(Image.fromarray(np.array([[[255, 255, 255], [255, 255, 254]]] * 2, np.uint8)).quantize()), "RGB"),
    ],
    ids=["1 bit", "CMYK", "LAB", "animation", "pages", "BMP", "grey palette", "palette of colours"],
)
def test_every_kind_of_picture_becomes_grey_or_colour(content, mode):
    picture = read(content)
    assert (picture.mode, picture.size) == (mode, (2, 2))
    for wanted in ("L", "RGB"):
        assert np.array(read(content, wanted)).min() > 250


def test_content_says_what_a_file_is_whatever_its_suffix(mine):
    for name in ("1.png", "2.JPG", "3"):
        GREY.save(mine / "train" / "cats" / name, "JPEG")
    (mine / "train" / "cats" / "4.png").symlink_to(mine / "train" / "cats" / "1.png")
    assert len(load_dataset(f"folder:{mine}").train) == 6


def compressed_text():
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * (2 << 20), zip=True)
    return encoded(GREY, pnginfo=text)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty, cut short, or of no known format"),
        (b"<svg/>", "empty, cut short, or of no known format"),
        (encoded(GREY)[:50], "image file is truncated|Truncated File Read"),
        (encoded(COLOUR.resize((64, 64)), "JPEG")[:-20], "truncated"),
        (encoded(COLOUR, "TIFF")[:-20], "truncated|empty"),
        (encoded(COLOUR, "WEBP")[:-8], "could not create decoder object"),
        (encoded(COLOUR, "AVIF")[:-4], r"\w"),
        (compressed_text(), "Decompressed data too large"),
        (encoded(COLOUR, "EPS"), "a PostScript program"),
        (png(1, 1, 16, 2, [bytes(6)], transparent=bytes(6)), "a transparent colour of 16 bits"),
    ],
    ids=["nothing", "SVG", "PNG", "JPEG", "TIFF", "WebP", "AVIF", "text", "EPS", "16-bit transparency"],
)
def test_file_that_cannot_be_read_is_named_with_the_reason(mine, network, content, reason):
    file = mine / "train" / "dogs" / "odd.png"
    file.write_bytes(content)
    message = rf"dogs/odd\.png: not an image that can be read: .*({reason})"
    for attempt in (lambda: load_dataset(f"folder:{mine}"), lambda: network.read_image(file)):
        with pytest.raises(UserError, match=message) as raised:
            attempt()
        assert "\n" not in str(raised.value)
        assert "0x" not in str(raised.value)  # an address in memory


def test_picture_too_large_to_be_meant_is_refused(mine, network, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE // 2 - 1)
    with pytest.raises(UserError, match=r"0\.png: not an image that can be read: Image size"):
        network.read_image(mine / "train" / "cats" / "0.png")
    with pytest.raises(UserError, match=r"0\.png: not an image that can be read: Image size"):
        load_dataset(f"folder:{mine}")


@pytest.mark.parametrize("kind", ["broken link", "link to itself", "pipe"])
def test_what_is_no_file_is_named(mine, kind):
    odd = mine / "train" / "cats" / "odd.png"
    os.mkfifo(odd) if kind == "pipe" else odd.symlink_to(odd if kind == "link to itself" else mine / "gone.png")
    with pytest.raises(UserError, match=r"cats/odd\.png: not an image that can be read: (no such file|not a file)"):
        load_dataset(f"folder:{mine}")


def test_parquet_shard_names_the_row_that_cannot_be_read(tmp_path, monkeypatch):
    write_shard(tmp_path / "a.parquet", np.zeros((2, 8, 8, 3), np.uint8).transpose(0, 3, 1, 2), np.zeros(2, int))
    assert read_parquet([tmp_path / "a.parquet"], "label", False)[0].shape == (2, 3, 8, 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    with pytest.raises(UserError, match=r"a\.parquet row 0: not an image that can be read: Image size"):
        read_parquet([tmp_path / "a.parquet"], "label", False)


def test_bad_picture_does_not_cost_the_answers_of_the_others(mine, network, monkeypatch):
    """Of one that may not be read, only the system tells: permissions do not bind the superuser, as whom tests may run."""
    model = save_model(network, mine / "model.pt")
    good = mine / "train" / "cats" / "0.png"
    (mine / "bad.png").write_bytes(compressed_text())
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **how: access(path, mode, **how) and "bad.png" not in str(path))
    done = command_here("predict", model, good, mine / "bad.png", mine / "gone.png", mine, good)
    assert done.returncode == 1
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [str(good)] * 2
    bad = [line.partition(": not an image")[0] for line in done.stderr.splitlines()]
    assert bad == [f"fastresnet: {name}" for name in (mine / "bad.png", mine / "gone.png", mine)]


def test_answers_are_one_row_of_a_table_each_whatever_a_picture_is_called(mine, network):
    model = save_model(network, mine / "model.pt")
    files = [mine / name for name in ("a\tb.png", "a\nb.png", 'a"b.png', "a b.png")]
    for file in files:
        GREY.save(file)
    rows = list(csv.reader(io.StringIO(command_here("predict", model, *files).stdout), "excel-tab"))
    assert [row[0] for row in rows] == [str(file) for file in files]
    assert {len(row) for row in rows} == {3}


def test_answers_come_before_later_pictures_are_read(mine, network, monkeypatch):
    files, opened = [mine / "train" / "cats" / "0.png"] * 5, []
    monkeypatch.setattr("fastresnet.models.saved._FILES_AT_A_TIME", 2)
    read_image = SavedModel.read_image
    monkeypatch.setattr(SavedModel, "read_image", lambda self, file: opened.append(file) or read_image(self, file))
    answers = network.predict_files(files)
    next(answers)
    assert len(opened) == 2
    assert len(list(answers)) == 4


def test_answer_of_a_picture_does_not_depend_on_its_batch(mine, network):
    COLOUR.resize((50, 20)).save(mine / "wide.png")
    files = [mine / "wide.png", mine / "train" / "cats" / "0.png"]
    for file, answer in network.predict_files(files):
        torch.testing.assert_close(answer, network.predict(network.read_image(file))[0])


def test_single_path_in_place_of_a_list_is_refused(network):
    for path in ("photo.png", Path("photo.png")):
        with pytest.raises(UserError, match="files: must be a list of paths, got 'photo.png'"):
            next(network.predict_files(path))


def test_own_pictures_are_verified_by_reading_them(mine):
    assert command_here("data", "verify", f"folder:{mine}").stdout.startswith(f"folder:{mine}: ")
    (mine / "train" / "cats" / "0.png").write_bytes(b"cut off")
    assert "0.png" in refused(command_here("data", "verify", f"folder:{mine}"))


def test_network_for_other_than_pictures_is_refused(mine, network):
    other = SavedModel(network.config, network.model, network.class_names, (4, 28, 28), (0.5,) * 4, (0.5,) * 4)
    with pytest.raises(UserError, match="takes images of 4 channels"):
        next(other.predict_files([mine / "train" / "cats" / "0.png"]))
