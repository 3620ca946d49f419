"""The offline corpus: real images, sounds and 3D shapes that Linux distributions package.

build.py     combines all sources
render.py    makes the file of one item
debian.py    fetches and unpacks packages
concepts.py  the noun that a caption names
pictures.py, soundfonts.py, rcc.py          kinds of files
emoji.py, furniture.py, games.py, ...       one source each: `items` yields rows and their raw files

concepts.yaml, sounds.yaml   nouns and their aliases; names of sound files, in words
"""
