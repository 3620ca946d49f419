"""How large one raw item may be. Larger ones are refused with a message that names the limit;
long sounds and texts are cut.

Loaders read these values at each call, so that a program that needs more assigns them:

    from exmcr.media import limits

    limits.POINTS = 50_000_000
"""

PIXELS = 89_478_485  # of an image; the number beyond which Pillow itself warns
RATIO = 1_000  # of the longer side of an image to the shorter one
SECONDS = 600  # of a sound, from where it begins to be audible; the rest is cut off
RATES = (1_000, 768_000)  # Hz, lowest and highest sampling rate
POINTS = 10_000_000  # of a cloud; also vertices and faces of a mesh
BYTES = 256 << 20  # of a file that is read whole, or of the samples of one sound
CHARACTERS = 10_000  # of a text; the encoders use at most 256 tokens, the rest is cut off
CHUNK = 256 << 20  # bytes of decoded items that are held while they wait to be encoded
