"""The offline corpus: real images, sounds and 3D shapes that Linux distributions package.

build.py     combines all sources
render.py    makes the file of one item; workers.py runs it in processes that may hang or die
debian.py, npm.py, packages.py              fetch what data.lock.yaml pins, one package or all
fetching/    downloads and unpacking, without knowledge of what a package is for
contents.py  which files of a package are unpacked
concepts.py  the noun that a caption names
pictures.py, meshes.py, rcc.py              kinds of files
effects.py, emoji.py, furniture.py, ...     sources: `items` yields rows and their raw files
wordnet.py   unpaired texts

data.lock.yaml               name, version, size and hash of every package
concepts.yaml                nouns and their aliases
sounds.yaml, shapes.yaml     what sound files and meshes are, in words
"""
