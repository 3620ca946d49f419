"""Every figure, and the data behind it (notebooks 00 to 06).

style.py         colors, order of modalities, how a figure is stored
items.py         raw items: how many, what they look like, galleries of answers
spaces.py        losses of the mini spaces, cosines within and between banks
pairing.py       how sharp softmax aggregation is, and what it pairs
training.py      losses per epoch
results.py       methods on tasks
concepts.py      methods on single concepts, and answers to look at
geometry.py      the shape of a space before and after extension
maps.py          UMAP, and the gaps between modalities
comparison.py    the comparison of all methods, and the ablation
localization.py  where in an image a sound comes from

A module imports only what its figures need: a notebook, and with it a DVC stage, depends on the
code of the modules that it imports.
"""
