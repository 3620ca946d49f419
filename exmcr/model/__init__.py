"""The public API: encode, search, combine, save, load.

exmcr.py      class ExMCR
parts.py      the base and the leaves that a model consists of
encoded.py    raw items in, vectors out
portable.py   what a stored model needs besides its projectors
cmcr.py       C-MCR as a model
files.py      models of projects, of the authors' files, and of folders that `save` wrote
inversion.py  images as texts and texts as images, for searches within one modality
search.py     the nearest items of a project, and example queries (notebook 06_search)
export.py     the projectors as files for the authors' code
verify.py     the authors' models against the numbers that they published
published.py  these numbers

verify_results.py     the results of a project beside those of papers
published_results.py  these results, and how each was measured
"""
