"""Three small contrastive spaces that need no model hub: trained here from real pairs, then frozen.

backbones/   pre-trained encoders of one modality each, from wheels
features.py  their outputs, computed once per item and kept on disk
towers.py    small networks from features onto the sphere, and their contrastive training
space.py     what the three spaces share
image_text.py, audio_text.py, points.py   one space each
fit.py       which items train which space
stage.py     the stage `fit_spaces`
"""

TRAINED_HERE = ("mini-image-text", "mini-audio-text", "mini-points")
