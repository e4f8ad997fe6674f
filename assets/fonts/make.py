"""Makes NotoSansCJKsc-common.otf: the Chinese characters of everyday texts, cut out of Noto Sans CJK.

    python3 -m venv venv && venv/bin/pip install fonttools==4.68.0
    venv/bin/python make.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

In it are rows 1 to 3 of GB2312 (punctuation, numbers, full-width forms), its rows 16 to 55 (the 3755 characters of
level 1), and whatever else the app's own texts have. The same font and the same fontTools give the same bytes.
"""

import hashlib
import pathlib
import sys

import fontTools
from fontTools import subset
from fontTools.ttLib import TTCollection

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = HERE / "NotoSansCJKsc-common.otf"
FACE = "Noto Sans CJK SC"
# Where the texts of the app stand.
SOURCES = ["app/src", "web/src"]
# Where in a row of GB2312 its characters begin.
ROW_START = 0xA0


def gb2312(rows):
    """The characters of these rows; not every cell has one."""
    characters = set()
    for row in rows:
        for cell in range(1, 95):
            try:
                characters.add(bytes([ROW_START + row, ROW_START + cell]).decode("gb2312"))
            except UnicodeDecodeError:
                pass
    return characters


def is_chinese(character):
    """Ideographs, their punctuation, full-width forms: what egui's own fonts have none of."""
    return any(first <= ord(character) <= last for first, last in [(0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF)])


def texts():
    """The Chinese characters of the app's texts."""
    files = [file for source in SOURCES for file in sorted((ROOT / source).rglob("*.rs"))]
    return {character for file in files for character in file.read_text("utf-8") if is_chinese(character)}


def main(collection):
    level_1 = gb2312(range(16, 56))
    assert len(level_1) == 3755, len(level_1)
    wanted = level_1 | gb2312([1, 2, 3])
    beyond = texts() - wanted
    wanted |= beyond

    font = next(font for font in TTCollection(collection).fonts if font["name"].getDebugName(4) == FACE)
    missing = {character for character in wanted if ord(character) not in font.getBestCmap()}
    assert not missing & (level_1 | beyond), missing

    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.glyph_names = False
    # Shared pieces of outlines cost more here than they save.
    options.desubroutinize = True
    # Copyright, names, version, licence.
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14]
    # Ligatures, kerning, and everything about vertical writing.
    options.drop_tables += ["BASE", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]
    # Else the time of its making would be in it.
    font.recalcTimestamp = False
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[ord(character) for character in wanted])
    subsetter.subset(font)
    # All characters are in the first plane: one table of the two says everything.
    cmap = font["cmap"]
    cmap.tables = [table for table in cmap.tables if table.format == 4 and table.platformID == 3]
    font.save(OUT)

    print(f"fontTools {fontTools.version}, {font['name'].getDebugName(5)}")
    print(f"{len(font.getBestCmap())} characters, of the app's texts beyond GB2312's: {''.join(sorted(beyond)) or 'none'}")
    print(f"{OUT.stat().st_size} bytes, SHA-256 {hashlib.sha256(OUT.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
