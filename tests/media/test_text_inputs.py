"""Texts: what is read, and as what; the table is printed in docs/inputs.md."""

import time

import pytest
from inputs_table import case, check, params, refused

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import limits

POLICY = """
A text is a string. Blanks become single spaces, characters without a glyph are removed, the rest is
put into Unicode's form NFC.
"""

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def text(kind, given, item, outcome, expected):
    return case(kind, given, lambda folder: item, outcome, expected)


def bad(kind, given, item, match="empty text"):
    return refused(kind, given, lambda folder: item, match)


TABLE = [
    text("blanks", "runs of spaces, tabs, line ends", " a \n\tdog \r\n", "single spaces", "a dog"),
    text(
        "blanks",
        "no-break and ideographic spaces",
        "a\u00a0dog\u3000barks",
        "single spaces",
        "a dog barks",
    ),
    text(
        "blanks",
        "separators U+001C to U+001F, U+0085, U+2028",
        "a\x1cdog\x85barks\u2028loud",
        "single spaces",
        "a dog barks loud",
    ),
    text(
        "blanks",
        "blank glyphs U+2800, U+3164, U+FFA0",
        "a\u2800dog\u3164barks\uffa0",
        "single spaces",
        "a dog barks",
    ),
    text("invisible characters", "a byte order mark in front", "\ufeffa dog", "removed", "a dog"),
    text("invisible characters", "zero-width spaces", "a\u200b dog\u200b", "removed", "a dog"),
    text("invisible characters", "soft hyphens", "wa\u00adter\u00adfall", "removed", "waterfall"),
    text(
        "invisible characters",
        "directional marks and isolates",
        "\u200ea\u202b dog\u202c \u2067barks\u2069",
        "removed",
        "a dog barks",
    ),
    text(
        "invisible characters",
        "NUL and other controls",
        "d\x00o\x00g\x1b\x7f\x9f",
        "removed",
        "dog",
    ),
    text("invisible characters", "UTF-16 read byte by byte", "d\x00o\x00g\x00", "the text", "dog"),
    text(
        "invisible characters",
        "word joiner, invisible times, tags",
        "a\u2060 dog\u2062\U000e0041",
        "removed",
        "a dog",
    ),
    text(
        "invisible characters",
        "visible format characters (Arabic number sign)",
        "\u0600 12",
        "kept",
        "\u0600 12",
    ),
    text(
        "joiners",
        "zero-width joiners inside of an emoji",
        f"a {FAMILY} sings",
        "kept",
        f"a {FAMILY} sings",
    ),
    text(
        "joiners",
        "zero-width non-joiner in Persian",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "kept",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ),
    text(
        "joiners",
        "zero-width joiner in Devanagari",
        "\u0915\u094d\u200d\u0937",
        "kept",
        "\u0915\u094d\u200d\u0937",
    ),
    text("joiners", "between Latin letters", "do\u200dg ca\u200ct", "removed", "dog cat"),
    text(
        "joiners",
        "at an end, or several",
        "\u200d\U0001f436\u200d\u200d \U0001f468\u200d\u200d\U0001f469",
        "removed, one is kept inside",
        "\U0001f436 \U0001f468\u200d\U0001f469",
    ),
    text(
        "joiners",
        "variation selector behind its character",
        "\u2764\ufe0f you",
        "kept",
        "\u2764\ufe0f you",
    ),
    text(
        "joiners",
        "variation selector behind nothing, or twice",
        "\ufe0fa \ufe0f\u2764\ufe0f\ufe0f",
        "removed",
        "a \u2764\ufe0f",
    ),
    text("surrogates", "a lone one, from a cut emoji", "a dog \ud83d", "U+FFFD", "a dog \ufffd"),
    text(
        "surrogates",
        "a pair that was not joined",
        "a dog \ud83d\udc36",
        "its character",
        "a dog \U0001f436",
    ),
    text(
        "surrogates",
        "a byte that is not UTF-8 (surrogateescape)",
        "caf\udce9",
        "U+FFFD",
        "caf\ufffd",
    ),
    text("surrogates", "in the wrong order", "dog \udc36\ud83d", "U+FFFD", "dog \ufffd\ufffd"),
    text("composition", "e and a combining accent", "cafe\u0301", "NFC, one letter", "caf\u00e9"),
    text(
        "composition", "Hangul in single jamo", "\u1112\u1161\u11ab", "NFC, one syllable", "\ud55c"
    ),
    text(
        "composition",
        "full-width letters",
        "\uff24\uff2f\uff27",
        "as they are (NFC, not NFKC)",
        "\uff24\uff2f\uff27",
    ),
    text("content", "digits, one letter, a sign", "7", "as it is", "7"),
    text("content", "a question mark only", "?", "as it is", "?"),
    text("content", "an emoji only", "\U0001f436", "as it is", "\U0001f436"),
    text(
        "content",
        "HTML entities",
        "Tom &amp; Jerry",
        "as they are; CLIP's tokenizer decodes them",
        "Tom &amp; Jerry",
    ),
    text(
        "length",
        "more than limits.CHARACTERS characters",
        "word " * 10_000,
        "cut; encoders use less",
        ("word " * 2000).strip(),
    ),
    text("type", "a subclass of str", type("S", (str,), {})("a dog"), "its text", "a dog"),
    bad("empty", "no character", ""),
    bad("empty", "blanks only", " \n\t\u3000"),
    bad("empty", "U+200B only", "\u200b"),
    bad("empty", "byte order mark only", "\ufeff"),
    bad("empty", "soft hyphen only", "\u00ad"),
    bad("empty", "NUL only", "\x00"),
    bad("empty", "joiners, directional marks, blanks", "\u200d \u200e\u2060\u200c"),
    bad("empty", "variation selectors only", "\ufe0f\ufe0f"),
    bad("empty", "combining grapheme joiner, Mongolian separator, tags", "\u034f\u180e\U000e0001"),
    bad("empty", "braille blank, Hangul fillers", "\u2800\u3164\u115f\u1160"),
    bad("empty", "replacement characters or lone surrogates only", "\ufffd \ud83d"),
    bad("type", "None", None, "a text is a string, not of type NoneType"),
    bad("type", "a number", 3, "not of type int"),
    bad("type", "NaN, an empty cell of a table", float("nan"), "not of type float"),
    bad("type", "bytes", b"dog", "not of type bytes"),
    bad("type", "a list of captions", ["a dog", "a cat"], "not of type list"),
]


@pytest.mark.parametrize("entry", params(TABLE))
def test_a_text_is_read_or_refused_as_the_table_says(entry, tmp_path):
    loaded = check(entry, lambda item: media.load("text", item), entry.make(tmp_path), str.__eq__)
    if loaded is not None:
        assert media.load("text", loaded) == loaded, "cleaning twice changes nothing"
        loaded.encode("utf-8")


def test_every_character_is_read_or_refused():
    read = 0
    for code in range(0x110000):
        try:
            assert media.load("text", chr(code)).encode()
            read += 1
        except BadItem:
            assert not chr(code).isalnum() or chr(code) in "\u115f\u1160\u3164\uffa0"
        if code == 0x3FFF:  # the other planes hold ideographs, in steps
            break
    assert 15_000 < read < 0x4000


def test_long_runs_of_invisible_characters_take_no_time():
    start = time.process_time()
    for run in ("\u200b", "\u200d", "\ufe0f", "a\u200d", "\ud83d", " ", "\u0301"):
        text = f"a{run * 200_000}\U0001f436"
        assert (
            media.load("text", text)[0] in "a\u00e1"
            and len(media.load("text", text)) <= limits.CHARACTERS
        )
    assert time.process_time() - start < 5
