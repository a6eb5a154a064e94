"""What is installed is what is in the checkout, under one import name."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).parents[1]
SITE_PACKAGES = sysconfig.get_paths()["purelib"]
IGNORED = shutil.ignore_patterns("__pycache__")


def python(*arguments, cwd, path=(), site_packages=SITE_PACKAGES):
    """What a Python prints that sees `path` and what we have installed, except through .pth files."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, path), site_packages])}
    result = subprocess.run(
        [sys.executable, "-S", *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def copy_checkout(to, *, links=True):
    """A clean copy of what is packaged; without links, as on Windows, a link is a small text file."""
    to.mkdir(exist_ok=True)
    for name in ("minidl", "models"):
        shutil.copytree(CHECKOUT / name, to / name, symlinks=True, ignore=IGNORED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, to)
    if not links:
        (to / "minidl/models").unlink()
        (to / "minidl/models").write_text("../models")
    return to


def install(source, kind, target):
    """Build a "wheel" or an "editable" from `source` and install it into the folder `target`."""
    build = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
    python("-c", build, cwd=source)
    (wheel,) = (source / "dist").glob("*.whl")
    python("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", target, wheel, cwd=source)
    return wheel


@pytest.fixture(scope="module", params=[True, False], ids=["links", "no links"])
def wheel(request, tmp_path_factory):
    source = copy_checkout(tmp_path_factory.mktemp("source"), links=request.param)
    return install(source, "wheel", source / "installed")


@pytest.fixture
def installed(wheel):
    return wheel.parents[1] / "installed"


def test_the_wheel_holds_the_files_of_minidl_and_of_the_zoo_and_no_others(wheel):
    def files(folder, wanted):
        paths = (Path(root) / name for root, _, names in os.walk(CHECKOUT / folder) for name in names)
        return {wanted / p.relative_to(CHECKOUT / folder) for p in paths if p.parent.name != "__pycache__"}

    expected = files("minidl", Path("minidl")) | files("models", Path("minidl/models"))
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name) for name in archive.namelist()}
    assert {p for p in held if ".dist-info" not in p.parts[0]} == expected
    assert {Path("minidl/py.typed"), Path("minidl/models/densenet.py")} <= held
    for kind in ("minidl/kernels/cupy/*.cu", "minidl/data/embedded/*", "*.dist-info/licenses/LICENSE"):
        assert any(p.match(kind) for p in held), kind


def test_an_installed_minidl_has_the_zoo_and_there_is_no_top_level_models(installed, tmp_path):
    program = """if True:
        import importlib.util, minidl, minidl.models
        print(minidl.__file__, minidl.models.densenet121.__module__, importlib.util.find_spec("models"))"""
    printed = python("-c", program, cwd=tmp_path, path=[installed]).split()
    assert printed == [str(installed / "minidl/__init__.py"), "minidl.models.densenet", "None"]


@pytest.mark.parametrize("links", [True, False])
def test_an_editable_install_has_the_zoo_and_there_is_no_top_level_models(links, tmp_path):
    source = copy_checkout(tmp_path / "source", links=links)
    target = tmp_path / "installed"
    install(source, "editable", target)
    program = f"""if True:
        import importlib.util, site
        site.addsitedir({str(target)!r})
        import minidl, minidl.models
        print(minidl.__file__, minidl.models.densenet121.__module__, importlib.util.find_spec("models"))"""
    printed = python("-c", program, cwd=tmp_path, path=[target]).split()
    assert printed == [str(source / "minidl/__init__.py"), "minidl.models.densenet", "None"]


@pytest.mark.parametrize("first", ["models", "models.densenet", "minidl.models", "minidl.models.densenet"])
def test_a_checkout_has_each_class_of_the_zoo_once_whichever_name_comes_first(first):
    program = f"""if True:
        import importlib, sys
        importlib.import_module({first!r})
        import minidl.models, minidl.models.densenet, models, models.densenet
        from models.densenet import DenseNet
        assert models is minidl.models and models.densenet is minidl.models.densenet
        assert DenseNet is minidl.models.DenseNet and DenseNet.__module__ == "minidl.models.densenet"
        print(*(name for name in sys.modules if name.startswith("models.")))"""
    loaded = python("-c", program, cwd=CHECKOUT).split()
    assert set(loaded) == {f"models.{p.stem}" for p in (CHECKOUT / "models").glob("[!_]*.py")}


def test_every_module_imports_where_there_is_only_numpy_but_the_kernels_for_cupy_and_what_hypothesis_draws(
    installed, tmp_path
):
    for name in ("numpy", "numpy.libs"):
        (tmp_path / name).symlink_to(Path(np.__file__).parents[1] / name)
    program = """if True:
        import importlib, pkgutil, minidl
        for module in pkgutil.walk_packages(minidl.__path__, "minidl."):
            if not module.name.startswith(("minidl.kernels.cupy", "minidl.testing.strategies")):
                importlib.import_module(module.name)"""
    python("-c", program, cwd=tmp_path, path=[installed, tmp_path], site_packages="")


def test_the_version_is_the_changelogs_newest(wheel):
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert wheel.name.startswith(f"minidl-{newest[1]}-")
