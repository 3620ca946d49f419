"""Evaluation (stage `evaluate`, notebook 04_evaluate).

tasks.py       queries, galleries and right answers
benchmarks.py  tasks of the corpora of the paper: partners, zero-shot classification
matching.py    a task, and which gallery items are right answers
ranking.py     ranks of the right answers, from a whole matrix or in tiles
metrics.py     every metric, one registry
embeddings.py  vectors of the items that a task names
bench.py       the one path by which methods are fitted and scored
tables.py      results tables
geometry.py    gap, alignment, uniformity, hubness, effective rank
stage.py       the stage `evaluate`

Further tasks of C-MCR, for exmcr/experiments/downstream.py:

compositions.py    images in which one object sounds
localization.py    where does the sound come from?
counterfactual.py  does this sound belong to this image?
"""
