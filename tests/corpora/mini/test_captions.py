"""What the files of a package say of their pictures and shapes becomes a clean caption."""

import io
import zipfile

from exmcr.corpora.mini import furniture, openclipart
from exmcr.corpora.mini.pictures import title_of

SVG = """<svg><metadata>
<dc:title>Jonathon&amp;#39;s duck</dc:title>
<rdf:li>hash(0x8c82364)</rdf:li><rdf:li>hash</rdf:li><rdf:li>hash browns</rdf:li>
<rdf:li>Bird</rdf:li><rdf:li>ab</rdf:li>
</metadata></svg>"""


def test_a_title_that_was_escaped_twice_is_plain_text():
    assert openclipart._tag("title", SVG) == ["Jonathon's duck"]


def test_leftovers_of_the_program_that_wrote_a_drawing_are_no_keywords():
    assert openclipart._keywords("animals/duck.svg", SVG) == ["hash browns", "Bird"]


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
