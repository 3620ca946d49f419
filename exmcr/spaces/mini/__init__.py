"""Small contrastive spaces that need no model hub: fitted here on real pairs, then frozen.

backbones/   pre-trained encoders of one modality each, from Python wheels
features.py  their outputs, computed once per item and cached on disk
towers.py    maps from features onto the sphere, in closed form
linear.py    the part of a map that is trained by InfoNCE
vectors.py   unit rows and principal axes
space.py     the base class of the three spaces
image_text.py, audio_text.py, points.py   one space each; images.py is what two of them share
speech.py    one more, off by default
fit.py       the training items of each space
stage.py     the fitting part of the stage `fit_spaces`
"""

TRAINED_HERE = ("mini-image-text", "mini-audio-text", "mini-points", "mini-speech-text")
