"""Training of the projectors (stage `train`, notebook 03_train).

projectors.py  f_l, f_m and the projector of a leaf
cmcr_heads.py  the two heads of C-MCR
noise.py       Gaussian noise on embeddings (semantic completion)
objectives.py  intra-space and dense inter-space loss, as the paper prints them
losses.py      losses of other papers, and the registry that `train.loss` chooses from
many_to_many.py  those in which an item may match several others
loop.py        the training loop
fit.py         a new projector for given quadruples, trained
"""
