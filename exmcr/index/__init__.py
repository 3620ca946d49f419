"""Search in a user's own folder: an index on disk that belongs to one model.

build.py    embed what is new or has changed
storage.py  the files of an index
ivfpq.py    search by FAISS, for large folders
source.py   the model of an index: an exported folder, a project, or a repository of the hub
"""
