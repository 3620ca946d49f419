"""The public API: encode, search, combine, save, load.

exmcr.py   class ExMCR
files.py   what a model is made of, and the files it is stored in
search.py  nearest items of a project, and what to ask about (notebook 06_search)
export.py  the files of the authors' code
verify.py  the authors' demo against the numbers that they published
"""
