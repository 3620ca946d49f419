"""Runs beside the pipeline; their DVC stages are in experiments/ at the root of the project.

compare.py     every method side by side on the tasks of the results table
sweep.py       settings of the methods, tried on validation concepts
ablation.py    Ex-MCR with one parameter changed at a time
cones.py       methods on synthetic spaces with gaps, cones and noise
downstream.py  the other two tasks of C-MCR: sound localization and counterfactual recognition
    downstream_scenes.py  the scenes, encoded
    downstream_table.py   the rows of the table
"""
