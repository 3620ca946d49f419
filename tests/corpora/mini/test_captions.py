"""What the files of a package say of their pictures and shapes becomes clean captions."""

import zipfile

import pytest

from exmcr.corpora.mini import contents, furniture, openclipart
from exmcr.corpora.mini.pictures import title_of

DUCK = """<svg><metadata><dc:title> </dc:title><dc:title>Jonathon&amp;#39;s duck</dc:title>
<rdf:li>hash(0x8c82364)</rdf:li><rdf:li>work</rdf:li></metadata></svg>"""
CATALOG = """name#1=Bill 10\\u20ac
model#1=/bill.obj
icon#1=/bill.png
tags#1=Blend Swap, money, SCPTS, Shop, paper, small
name#2=No icon
model#2=/none.obj"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "fetch", lambda name, raw: tmp_path)
    return tmp_path


def test_a_drawing_has_its_title_as_plain_text_and_no_keyword(package):
    folder = package / "usr/share/openclipart/svg/animals"
    folder.mkdir(parents=True)
    (folder / "duck.svg").write_text(DUCK)
    (folder / "horse#1.svg").write_text("<svg></svg>")
    rows = [row for row, _ in openclipart.items(package)]
    assert [row["captions"] for row in rows] == [["jonathon's duck"], ["horse"]]
    assert [row["concept"] for row in rows] == ["duck", "horse"]


def test_a_shape_has_its_name_and_tags_that_describe_it(package):
    folder = package / "usr/share/sweethome3d/furniture"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "Some.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOG.encode("latin-1"))
    ((shape, _, icon, _),) = furniture.items(package)
    names = [f"Bill 10€{tag}" for tag in ("", ", money", ", shop", ", paper")]
    assert shape["captions"] == icon["captions"] == names
    assert icon["of"] == shape["id"]


def test_a_title_has_neither_numbers_nor_their_marks():
    assert title_of("horse#1") == "horse"
    assert title_of("big_dog-01") == "big dog"
