"""Three small contrastive spaces that need no model hub: trained here on real pairs, then frozen.

backbones/   pre-trained encoders of one modality each, from Python wheels
features.py  their outputs, computed once per item and cached on disk
towers.py    small networks from features onto the sphere, and their contrastive training
space.py     the base class of the three spaces
image_text.py, audio_text.py, points.py   one space each
fit.py       the training items and pairs of each space
stage.py     the training part of the stage `fit_spaces`
"""

TRAINED_HERE = ("mini-image-text", "mini-audio-text", "mini-points")
