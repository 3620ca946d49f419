"""Evaluation (stage `evaluate`, notebook 04_evaluate).

tasks.py       queries, galleries and right answers
ranking.py     ranks of the right answers, whole or in tiles
metrics.py     every metric, one registry
embeddings.py  vectors of the items that a task names
bench.py       the one path by which methods are fitted and scored
tables.py      results tables
geometry.py    gap, alignment, uniformity, hubness, effective rank
stage.py       the stage `evaluate`
compositions.py, localization.py, counterfactual.py   the other tasks of C-MCR
"""
