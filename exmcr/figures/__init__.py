"""Every figure, and the data behind it (notebooks 00 to 06).

style.py         colors, order of modalities, how a figure is stored
items.py         raw items: how many, what they look like, galleries of answers
gallery.py       answers with marks and ranks, players, the slider of a mixture
spaces.py        losses of the mini spaces, free pairs, cosines, gaps inside a space
pairing.py       how sharp softmax aggregation is, and what it pairs
training.py      losses per epoch, the scheme of a projector, precision on validation items
lesson.py        checked answers, costs, heat maps and sliders of the notebooks
results.py       methods on tasks
tasks.py         a task by its name
concepts.py      methods on single concepts, and answers to look at
winners.py       two methods task by task, and what geometry says about it
geometry.py      the shape of a space before and after extension
maps.py          UMAP
gaps.py          the gaps between modalities
neighbors.py     nearest neighbors in the space itself
comparison.py    the comparison of all methods, and the ablation
cones.py         methods on synthetic spaces with gaps and cones
localization.py  where in an image a sound comes from

A module imports only what its figures need: a notebook, and with it a DVC stage, depends on the
code of the modules that it imports.
"""
