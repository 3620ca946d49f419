"""The offline corpus: real images, sounds and 3D shapes that Linux distributions ship as packages.

build.py     puts all sources together
debian.py    fetches and unpacks packages
pictures.py, soundfonts.py, furniture.py, ...   one source or kind of file each
concepts.py  the noun that a caption names
"""
