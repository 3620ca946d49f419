"""OpenShape records: what they may hold, what is refused, and that no damage crashes the reader.

EXMCR_BATTERY multiplies the number of mutations; default: 1, which takes seconds.
"""

import io
import os
import pickle
import pickletools
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest

from exmcr import media
from exmcr.common.errors import BadItem
from exmcr.media import limits, records

MUTATIONS = 2_000 * int(os.environ.get("EXMCR_BATTERY", 1))
XYZ = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float16)
RECORD = {
    "dataset": "Objaverse",
    "group": "000-021",
    "id": "a1",
    "xyz": XYZ,
    "rgb": np.asfortranarray(np.linspace(0, 1, 120, dtype=np.float32).reshape(40, 3)),
    "text": ["a mug", "caf\u00e9 \U0001f600"],
    "image_feat": None,
    "n": np.float32(2.5),
    "many": 2**70,
    "raw": b"\xff\x00",
    "flags": (True, False, -1, 1.5),
    "names": np.array(["a", "bcd"]),
    "keys": np.array([b"a", b"bcd"]),
    "mask": np.array([[True, False]]),
    "big": np.arange(3, dtype=">i4"),
    "none": np.zeros((0, 3), np.float32),
    "feat": [{"original": np.ones((1, 4), np.float32)}],
    "same": XYZ,
    "ordered": OrderedDict(a=1),
}


def npy(content, shape=()):
    """An .npy file of dtype object with these bytes as its pickle."""
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def whole(record=RECORD, protocol=4):
    return npy(pickle.dumps(np.array(record, object), protocol=protocol))


@pytest.fixture
def read(tmp_path):
    def reading(content):
        (tmp_path / "record.npy").write_bytes(content)
        return records.read_record(tmp_path / "record.npy")

    return reading


def same(read, expected):
    if isinstance(expected, np.ndarray):
        return read.dtype == expected.dtype and np.array_equal(read, expected)
    if isinstance(expected, dict):
        return read.keys() == expected.keys() and all(same(read[k], expected[k]) for k in read)
    if isinstance(expected, list):
        return len(read) == len(expected) and all(map(same, read, expected))
    return type(read) is type(expected) and read == expected


@pytest.mark.parametrize("protocol", range(6))
def test_a_record_is_read_in_every_protocol(read, protocol):
    record = RECORD if protocol > 2 else {k: v for k, v in RECORD.items() if k != "ordered"}
    found = read(whole(record, protocol))
    found.pop("ordered", None)
    assert same(found, {k: v for k, v in record.items() if k != "ordered"})
    found["xyz"] += 1  # an array of its own
    assert read(whole(np.array(RECORD), protocol))["ordered"] == {"a": 1}


def test_a_record_that_numpy_saves_is_read_with_the_names_of_numpy_1_and_2(read):
    file = io.BytesIO()
    np.save(file, RECORD, allow_pickle=True)
    assert same(read(file.getvalue())["xyz"], XYZ)
    for new, old in ((b"numpy.core", b"numpy._core"), (b"numpy._core", b"numpy.core")):
        content = pickle.dumps(np.array({"xyz": XYZ}, object), protocol=2)
        assert same(read(npy(content.replace(new, old)))["xyz"], XYZ)


class Calls:
    """Pickled as a call of something, with arguments and a state."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


RECONSTRUCT = np.zeros(1).__reduce__()[0]  # in numpy.core or numpy._core, depending on the version


def hostile_dtype(state):
    """A record whose array has a dtype of this state."""
    dtype = Calls(np.dtype, ("f2", False, True), state)
    array = Calls(RECONSTRUCT, (np.ndarray, (0,), b"b"))
    array.call += ((1, (4, 3), dtype, False, bytes(24)),)
    return {"xyz": array}


DTYPE = RECONSTRUCT, (np.ndarray, (0,), b"b")
F2 = np.dtype("<f2")
REFUSED = {
    "a dtype whose flags say objects": hostile_dtype((3, "<", None, None, None, -1, -1, 63)),
    "a dtype with fields": hostile_dtype((3, "|", None, ("a",), {"a": (F2, 0)}, 2, 1, 16)),
    "a dtype with a subarray": hostile_dtype((3, "|", (F2, (2,)), None, None, 4, 1, 0)),
    "a dtype of another size": hostile_dtype((3, "<", None, None, None, 200, 8, 0)),
    "a dtype state of other types": hostile_dtype((3.0, "<", None, None, None, -1, -1, False)),
    "a dtype without a byte order": hostile_dtype((3,)),
    "an array of objects": {"xyz": XYZ, "a": np.array([None, {}], object)},
    "an array of one object": {"xyz": XYZ, "a": np.array({}, object)},
    "complex numbers": {"xyz": XYZ, "a": np.zeros(2, complex)},
    "dates": {"xyz": XYZ, "a": np.zeros(2, "M8[s]")},
    "a structured array": {"xyz": XYZ, "a": np.zeros(2, [("a", "f4")])},
    "raw memory": {"xyz": XYZ, "a": np.zeros(2, "V8")},
    "an array with fewer bytes than its shape": {
        "xyz": Calls(*DTYPE, (1, (4, 3), F2, False, bytes(22)))
    },
    "an array with more bytes than its shape": {
        "xyz": Calls(*DTYPE, (1, (4, 3), F2, False, bytes(26)))
    },
    "a negative shape": {"xyz": Calls(*DTYPE, (1, (-4, -3), F2, False, bytes(24)))},
    "a shape beyond any memory": {"xyz": Calls(*DTYPE, (1, (10**10, 3), F2, False, bytes(24)))},
    "a shape of no bytes beyond any memory": {
        "xyz": Calls(*DTYPE, (1, (0, 2**62, 2**62), F2, False, b""))
    },
    "an array of a list": {"xyz": Calls(*DTYPE, (1, (2,), F2, False, [1, 2]))},
    "an array without a state": {"xyz": Calls(*DTYPE)},
    "a state of a list": {"xyz": XYZ, "a": Calls(list, (), {"a": 1})},
    "a function": {"xyz": XYZ, "a": os.system},
    "a call of a function": {"xyz": XYZ, "a": Calls(os.getpid, ())},
    "a class of ours": {"xyz": XYZ, "a": Calls(BadItem, ("a",))},
    "bytes in another encoding": {"xyz": XYZ, "a": Calls(__import__("_codecs").encode, ("a", "zip"))},
    "a set": {"xyz": XYZ, "a": {1, 2}},
    "a key that is a tuple": {"xyz": XYZ, (1, 2): 1},
    "no xyz": {"points": XYZ},
    "xyz as a list": {"xyz": XYZ.tolist()},
    "a list": [XYZ],
    "a string": "xyz",
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("given", REFUSED)
def test_what_is_no_plain_record_is_refused_in_one_line(read, given, protocol):
    with pytest.raises(BadItem) as error:
        read(whole(REFUSED[given], protocol))
    assert "\n" not in str(error.value)


DAMAGED = {
    "cut off": whole()[:-40],
    "cut off in the header": whole()[:50],
    "cut off behind the header": npy(b""),
    "bytes behind the end": whole() + b"\0",
    "two records": npy(pickle.dumps(RECORD) * 2),
    "no magic": whole()[1:],
    "an unknown version": whole()[:6] + b"\x07" + whole()[7:],
    "an array of records": npy(pickle.dumps(np.array([RECORD, RECORD], object)), (2,)),
    "a list instead of an array": npy(pickle.dumps([1])),
    "an empty stack": npy(b"."),
    "two values": npy(b"NN."),
    "no such memo": npy(b"h\x05."),
    "no mark": npy(b"t."),
    "a memo of nothing": npy(b"\x94."),
    "a persistent name": npy(b"Pa\n."),
    "an extension": npy(b"\x82\x01."),
    "a new object": npy(b"cbuiltins\nlist\n)\x81."),
    "a class by name": npy(b"(ibuiltins\nlist\n."),
    "items of a list": npy(b"]NNs."),
    "a list of a dict": npy(b"}Na."),
    "an odd number of items": npy(b"}(Nu."),
    "a call of a number": npy(b"I1\n)R."),
    "a state of a number": npy(b"I1\n)b."),
    "a global of numbers": npy(b"I1\nI1\n\x93."),
    "a text of 2**60 bytes": npy(b"\x8d" + (2**60).to_bytes(8, "little") + b"a."),
    "a number of 2**31 bytes": npy(b"\x8b\xff\xff\xff\x7fa."),
    "a number of 5000 digits": npy(b"I" + b"1" * 5000 + b"\n."),
    "a text that is not UTF-8": npy(b"X\x01\0\0\0\xff."),
    "lists in lists": npy(b"]" * 200_000 + b"a" * 199_999 + b"."),
    "tuples in tuples as a key": npy(b"}" + b")" + b"\x85" * 200_000 + b"Ns."),
    "a name as deep as the key": npy(b")" + b"\x85" * 200_000 + b"\x8c\x01a\x93."),
    "a dtype as deep as the key": npy(
        b"cnumpy\ndtype\n(" + b")" + b"\x85" * 200_000 + b"tR."
    ),
}  # fmt: skip


@pytest.mark.parametrize("given", DAMAGED)
def test_a_damaged_record_is_refused_in_one_line(read, given):
    with pytest.raises(BadItem) as error:
        read(DAMAGED[given])
    assert "\n" not in str(error.value)


def test_a_record_larger_than_the_limit_is_not_read(read, monkeypatch):
    monkeypatch.setattr(limits, "BYTES", 1000)
    with pytest.raises(BadItem, match="more than 1000; raise exmcr.media.limits.BYTES"):
        read(whole())


def test_a_cloud_is_read_from_a_record(tmp_path):
    (tmp_path / "a.npy").write_bytes(whole())
    np.testing.assert_array_equal(media.points.load(tmp_path / "a.npy"), XYZ.astype(np.float32))


def mutated(content, rng):
    """One to three bytes changed, half of the time in opcodes and headers; or a part repeated."""
    content = bytearray(content)
    if rng.random() < 0.1:
        begin, end = sorted(rng.integers(len(content), size=2))
        return bytes(content[:end] + content[begin:])
    places = OPCODES if rng.random() < 0.5 else np.arange(len(content))
    for place in rng.choice(places, size=rng.integers(1, 4)):
        content[place % len(content)] = rng.integers(256)
    return bytes(content)


SMALL = {key: RECORD[key] for key in ("xyz", "text", "n", "names", "raw", "feat")}
OPCODES = [128 + place for _, _, place in pickletools.genops(whole(SMALL)[128:])]


def run_mutations(folder, seed):
    """Read MUTATIONS damaged records; returns how many were read and how many refused."""
    rng = np.random.default_rng(seed)
    contents = [whole(SMALL, protocol) for protocol in (2, 3, 4, 5)]
    counts = {"read": 0, "refused": 0}
    for k in range(MUTATIONS):
        path = os.path.join(folder, "mutated.npy")
        with open(path, "wb") as file:
            file.write(mutated(contents[k % 4], rng))
        try:
            record = records.read_record(path)
            repr(record)
            record["xyz"].sum()
            counts["read"] += 1
        except BadItem:
            counts["refused"] += 1
    return counts


def test_no_mutation_of_a_record_crashes_the_reader_or_raises_anything_else(tmp_path):
    """In a process of its own, so that a crash is reported as one."""
    code = "import sys, test_records as t; print(t.run_mutations(sys.argv[1], 0))"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, str(tmp_path)],
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = eval(done.stdout)
    assert sum(counts.values()) == MUTATIONS and min(counts.values()) > 0.05 * MUTATIONS
