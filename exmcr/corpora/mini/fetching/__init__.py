"""Fetching pinned packages: nothing here knows what a package is for.

data_lock.py   name, version, size and hash of every package
apt.py, programs.py, transfer.py   downloads by apt, by other programs, over HTTP
archives.py, tar_reader.py         unpacks .deb and .tgz that may be damaged or hostile
store.py       unpacked folders, with a record of where they come from
versions.py    the order of Debian versions
"""
