"""Folders of images: subfolders are classes, files are read when they are indexed, and wrong ones are named."""

import io
import sys

import numpy as np
import pytest

from minidl.data import DataError, DataLoader, ImageFiles, image_folder, load_dataset

Image = pytest.importorskip("PIL.Image", reason="image folders need Pillow: pip install minidl[data]")

COLOURS = {"red": (200, 10, 10), "green": (10, 200, 10), "blue": (10, 10, 200)}


def save(path, colour=(1, 2, 3), size=(6, 4), mode="RGB", **options):
    """A plain image, (width, height) in size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path, **options)
    return path


@pytest.fixture
def colours(tmp_path):
    """train/ and test/, each with three classes of two images of one colour, 4 pixels high and 6 wide."""
    for split in ("train", "test"):
        for name, colour in COLOURS.items():
            for number in range(2):
                save(tmp_path / split / name / f"{number}.png", colour)
    return tmp_path


def test_classes_are_the_subfolders_in_alphabetical_order(colours):
    for dataset in load_dataset(colours):
        assert dataset.classes == ("blue", "green", "red")
        assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2]
        images, labels = dataset[np.arange(6)]
        assert images.shape == (6, 3, 4, 6)
        for image, label in zip(images, labels, strict=True):
            assert (image == np.reshape(COLOURS[dataset.classes[label]], (3, 1, 1))).all()


def test_rows_and_columns_are_where_they_were(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    np.testing.assert_array_equal(ImageFiles([tmp_path / "image.png"])[0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "index", [0, -1, slice(1, 4), [5, 0, 0], np.arange(6) % 2 == 0, slice(0, 0), [[0, 1]]], ids=repr
)
def test_image_files_index_as_the_array_of_them_does(colours, index):
    files = load_dataset(colours)[0].images
    array = np.stack(list(files))
    np.testing.assert_array_equal(files[index], array[index], strict=True)
    with pytest.raises(IndexError):
        files[6]


def test_images_are_read_when_they_are_indexed(colours):
    train, _ = load_dataset(colours)
    (colours / "train" / "red" / "1.png").unlink()
    subset = train.subset(slice(3, 6))
    assert len(subset) == 3
    assert subset[1][0].shape == (3, 4, 6)
    with pytest.raises(DataError, match=r"1\.png: no image that Pillow can read .*No such file"):
        subset[2]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_8_bits_becomes_rgb(tmp_path, mode):
    path = save(tmp_path / ("image.tiff" if mode == "CMYK" else "image.png"), (255, 255, 255), mode=mode)
    np.testing.assert_array_equal(ImageFiles([path])[0], np.full((3, 4, 6), 255, np.uint8))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deeper_pixels_are_refused(tmp_path, mode):
    path = tmp_path / "image.tiff"
    Image.new("L", (6, 4), 7).convert("I").convert(mode).save(path)
    with pytest.raises(DataError, match=f"image.tiff: has pixels of mode {mode}.*; wanted 8 bits"):
        ImageFiles([path])


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    path = save(tmp_path / "photo.jpg", exif=exif)
    assert ImageFiles([path]).shape == (1, 3, 6, 4)


def test_a_size_makes_different_images_equal_by_scaling_and_cropping(tmp_path):
    ramp = np.repeat(np.arange(0, 240, 6, dtype=np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "wide.png")  # 20 high, 40 wide
    save(tmp_path / "tall.png", size=(9, 31))
    files = ImageFiles([tmp_path / "wide.png", tmp_path / "tall.png"], size=10)
    assert files.shape == files[:].shape == (2, 3, 10, 10)
    row = files[0][0, 5].astype(int)
    assert (np.diff(row) == 12).all()  # half the size: twice the slope
    assert abs(row.mean() - 117) < 1  # its centre
    assert ImageFiles([tmp_path / "wide.png"], size=(3, 5))[:].shape == (1, 3, 3, 5)


def test_different_sizes_without_a_size_are_explained(colours):
    save(colours / "train" / "red" / "9.png", size=(8, 4))
    train, _ = load_dataset(colours)
    with pytest.raises(DataError, match=r"9\.png is 4×8 pixels and .*0\.png is 4×6; .*image_size=32"):
        train[:]
    train, _ = load_dataset(colours, image_size=5)
    assert train[:][0].shape == (7, 3, 5, 5)


def test_train_and_test_of_different_sizes_are_explained(colours):
    for path in (colours / "test").rglob("*.png"):
        save(path, size=(5, 5))
    with pytest.raises(DataError, match=r"in train/ are 4×6 pixels and in test/ 5×5; .*image_size=32"):
        load_dataset(colours)


def test_val_serves_as_the_test_set(colours):
    (colours / "test").rename(colours / "val")
    assert [len(split) for split in load_dataset(colours)] == [6, 6]


def test_other_files_and_hidden_ones_are_passed_over_and_deeper_folders_are_not(colours):
    red = colours / "train" / "red"
    (red / "notes.txt").write_text("two reds")
    (red / ".hidden.png").write_bytes(b"no image")
    (colours / "train" / ".cache").mkdir()
    (colours / "train" / "README").write_text("colours")
    save(red / "deeper" / "x.PNG")
    train, _ = load_dataset(colours)
    assert [path.name for path in train.images.paths[4:]] == ["0.png", "1.png", "x.PNG"]


def damaged_png():
    packed = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", damaged_png()[:60], damaged_png()[:3000], damaged_png()[:-4]],
    ids=["empty", "page", "header", "half", "end"],
)
def test_a_damaged_image_is_named(tmp_path, content):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    if content == damaged_png()[:-4]:  # all pixels are there
        assert ImageFiles([path])[0].shape == (3, 40, 60)
    else:
        with pytest.raises(DataError, match=r"image\.png: no image that Pillow can read \(.*\); replace or delete it"):
            ImageFiles([path])


def test_a_damaged_exif_block_is_named(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "photo.webp", exif=exif)
    content = path.read_bytes()
    assert b"EXIF" in content
    start = content.index(b"EXIF") + 8
    path.write_bytes(content[:start] + b"junk" * 4 + content[start + 16 :])
    with pytest.raises(DataError, match=r"photo\.webp: no image that Pillow can read"):
        ImageFiles([path])


def test_a_damaged_image_surfaces_from_the_background(colours):
    (colours / "train" / "green" / "1.png").write_bytes(damaged_png()[:3000])
    train, _ = load_dataset(colours)
    with pytest.raises(DataError, match=r"green.1\.png"):
        list(DataLoader(train, batch_size=2, num_workers=2))


def test_folders_that_are_no_dataset_are_explained(tmp_path, colours):
    with pytest.raises(DataError, match=r"nowhere: neither a file or folder nor one of the sets fashion-mini, "):
        load_dataset(tmp_path / "nowhere")
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no dataset known here; found nothing; wanted the folders train/"):
        load_dataset(empty)
    with pytest.raises(DataError, match=r"train: no dataset known here; found blue, green, red; wanted"):
        load_dataset(colours / "train")
    with pytest.raises(DataError, match=r"0\.png: no dataset known here; found a single file; wanted"):
        load_dataset(colours / "train" / "red" / "0.png")
    with pytest.raises(DataError, match="red: has no subfolders; wanted one for each class"):
        image_folder(colours / "train" / "red")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        image_folder(tmp_path / "nowhere")


def test_a_class_without_images_and_an_unknown_class_are_named(colours):
    (colours / "test" / "violet").mkdir()
    with pytest.raises(DataError, match="violet: is not one of the classes blue, green, red; rename it"):
        load_dataset(colours)
    (colours / "train" / "violet").mkdir()
    with pytest.raises(DataError, match=r"violet: holds no image \(\.bmp .*\); fill it or delete it"):
        load_dataset(colours)


def test_the_test_set_may_lack_a_class(colours):
    for path in (colours / "test" / "green").iterdir():
        path.unlink()
    (colours / "test" / "green").rmdir()
    _, test = load_dataset(colours)
    assert test.labels.tolist() == [0, 0, 2, 2]
    assert test.classes == ("blue", "green", "red")


def test_one_image_is_a_dataset(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / split / "only" / "one.jpg")
    train, _ = load_dataset(tmp_path)
    (batch,) = DataLoader(train, batch_size=64, shuffle=True)
    assert batch[0].shape == (1, 3, 4, 6)


def test_without_pillow_the_command_that_installs_it_is_named(colours, monkeypatch):
    for module in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"PIL is not installed: pip install .minidl\[data\]"):
        load_dataset(colours)


def test_the_first_image_is_looked_at_when_the_folder_is_opened(tmp_path):
    (tmp_path / "image.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"image\.png: no image that Pillow can read"):
        ImageFiles([tmp_path / "image.png"], size=32)


def test_an_empty_list_and_a_size_of_zero_are_refused(tmp_path):
    with pytest.raises(DataError, match="there are no images"):
        ImageFiles([])
    with pytest.raises(ValueError, match="size is 0; wanted a positive side"):
        ImageFiles([tmp_path / "image.png"], size=0)
