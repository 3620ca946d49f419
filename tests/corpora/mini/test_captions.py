"""What the files of a package say of their pictures and shapes becomes a clean caption."""

import io
import zipfile

from exmcr.corpora.mini import furniture, openclipart
from exmcr.corpora.mini.pictures import title_of


def test_the_title_of_a_drawing_is_plain_text_even_if_it_was_escaped_twice():
    svg = "<svg><metadata><dc:title> </dc:title><dc:title>Jonathon&amp;#39;s duck</dc:title></svg>"
    assert openclipart._title(svg) == "Jonathon's duck"
    assert openclipart._title("<svg></svg>") == ""


def test_a_title_has_neither_numbers_nor_their_marks():
    assert title_of("horse#1") == "horse"
    assert title_of("big_dog-01") == "big dog"


def test_a_catalog_has_the_characters_that_its_escapes_stand_for():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        lines = ["name#1=Bill 10\\u20ac", "model#1=/bill.obj", "icon#1=/bill.png"]
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines).encode("latin-1"))
    with zipfile.ZipFile(content) as archive:
        (entry,) = furniture._catalog(archive)
    assert entry["name"] == "Bill 10€"
