"""Three small contrastive spaces that need no model hub: trained here from real pairs, then frozen.

backbones.py  pre-trained encoders of one modality each, from wheels
features.py   their outputs, computed once per item and kept on disk
towers.py     the small networks that bring features onto a sphere, and their contrastive training
image_text.py, audio_text.py, points.py   one space each
"""
