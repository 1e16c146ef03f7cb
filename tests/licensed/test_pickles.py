"""The pickle reader: Python's own pickles come back as they are; nothing a file names is ever run."""

import collections
import copyreg
import gzip
import io
import pickle
import random
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.errors import AssetError
from synthforge.licensed import pickle_machine
from synthforge.licensed.pickles import Stub, parse_pickle, read_pickle, stub
from tests.helpers.pickle_writer import Call, Name, written

PROTOCOLS = range(6)


def parsed(data: bytes, **options):
    return parse_pickle(data, "file.pkl", options.pop("allow", {}), **options)


def refusal(data: bytes, **options) -> str:
    with pytest.raises(AssetError) as caught:
        parsed(data, **options)
    message = str(caught.value)
    assert message.startswith("file.pkl: ") and "\n" not in message and len(message) < 400
    return message


# ---- what is read ------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 200), 1 << 200)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=300)
)
KEYS = st.text(max_size=8) | st.integers(-(1 << 62), 1 << 62) | st.binary(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner, inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=3)
        | st.tuples(inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=60)
@given(VALUES, st.sampled_from(PROTOCOLS))
def test_plain_values_come_back(value, protocol):
    found = parsed(pickle.dumps(value, protocol))
    assert found == value and repr(type(found)) == repr(type(value))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_come_back(protocol):
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((3, 4)),
        np.asfortranarray(rng.standard_normal((3, 4))),
        np.arange(5, dtype=">i4"),
        np.zeros((0, 3), np.uint8),
        np.array(2.5, np.float32),
        np.array([True, False]),
        np.arange(2000, dtype="<u2"),
        rng.standard_normal((2, 3, 2)).transpose(2, 0, 1),
        np.array([1 + 2j]),
        np.arange(900, dtype=">f8"),
    ]
    found = parsed(pickle.dumps([arrays, np.float64(0.1), np.int8(-3), np.bool_(True)], protocol))
    for a, b in zip(found[0], arrays, strict=True):
        assert (
            a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")
            and a.flags.f_contiguous == b.flags.f_contiguous
        )
        np.testing.assert_array_equal(a, b)
    assert found[1:] == [0.1, -3, True]
    objects = parsed(pickle.dumps(np.array([{"x": arrays[0]}, None], object), protocol))
    assert objects.dtype == object and objects[1] is None
    np.testing.assert_array_equal(objects[0]["x"], arrays[0])


def test_values_shared_and_in_themselves():
    a = []
    a += [a, a]
    found = parsed(pickle.dumps({"a": a, "b": a}))
    assert found["a"] is found["b"] and found["a"][0] is found["a"]


def test_python_2():
    raw = np.arange(3.0).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04tR"
        b"(K\x01K\x03\x85cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    )
    chumpy = b"cchumpy.ch\nCh\n)\x81}U\x01x" + array + b"sb"
    old = b"(ichumpy.logic\nOld\n(dS'a'\nI01\nsS\"b\\xe9\"\nL5L\nsb"  # an instance of protocol 0
    new = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR(dVk\\u00e9\nF1.5\nsb"
    data = b"\x80\x02(" + array + chumpy + old + new + b"(cchumpy.x\nY\nK\x01otp0\n."
    (a, ch, o, n, y) = parsed(data, prefixes={"chumpy.": stub})
    np.testing.assert_array_equal(a, [0, 1, 2])
    np.testing.assert_array_equal(ch.state["x"], [0, 1, 2])
    assert (ch.module, ch.name) == ("chumpy.ch", "Ch") and o.state == {"a": True, "b\xe9": 5}
    assert n.state == {"k\xe9": 1.5} and y.args == (1,)


def test_files(tmp_path):
    path = tmp_path / "file"
    value = {"a": np.arange(9), "b": collections.OrderedDict(x=1)}
    for data in (pickle.dumps(value), gzip.compress(pickle.dumps(value))):
        path.write_bytes(data)
        found = read_pickle(path, {})
        assert found["a"].tolist() == list(range(9)) and found["b"] == {"x": 1}
    for data, told in {b"PK\x03\x04": "zip", gzip.compress(b"x" * 9)[:-4]: "gzip", b"": "truncated"}.items():
        path.write_bytes(data)
        with pytest.raises(AssetError, match=told) as caught:
            read_pickle(path, {})
        assert str(path) in str(caught.value)
    for absent in (tmp_path, tmp_path / "none"):
        with pytest.raises(AssetError, match="no such file"):
            read_pickle(absent, {})


# ---- what is refused ---------------------------------------------------------------------------------

OS = Name("os", "system")


def hostile(sentinel: Path) -> dict[str, bytes]:
    """Pickles that make a file when they are run, by their route."""
    order, code = f"touch {sentinel}", f"open({str(sentinel)!r}, 'w')"
    run, script = Call(OS, (order,)), sentinel.with_name("script.py")
    script.write_text(code)
    direct = {
        ("os", "system"): (order,),
        ("posix", "system"): (order,),
        ("os", "popen"): (order,),
        ("builtins", "eval"): (code,),
        ("builtins", "exec"): (code,),
        ("builtins", "open"): (str(sentinel), "w"),
        ("io", "open"): (str(sentinel), "w"),
        ("_io", "FileIO"): (str(sentinel), "w"),
        ("subprocess", "call"): (["touch", str(sentinel)],),
        ("subprocess", "run"): (["touch", str(sentinel)],),
        ("subprocess", "check_output"): (["touch", str(sentinel)],),
        ("subprocess", "getoutput"): (order,),
        ("runpy", "run_path"): (str(script),),
        ("runpy", "_run_code"): (code, {}),
        ("timeit", "timeit"): (code, "pass", Name("time", "time"), 1),
        ("cProfile", "run"): (code, str(sentinel)),
        ("pathlib", "Path.touch"): (),
        ("shutil", "copy"): (str(script), str(sentinel)),
        ("pickle", "loads"): (written(run),),
        ("_pickle", "loads"): (written(run),),
        ("numpy.testing._private.utils", "runstring"): (code, {}),
        ("os", "mkdir"): (str(sentinel),),
        ("torch", "load"): (str(sentinel),),
        ("torch.serialization", "load"): (str(sentinel),),
        ("numpy", "load"): (str(sentinel),),
        ("numpy", "savetxt"): (str(sentinel), [1]),
        ("numpy.f2py", "compile"): ("end",),
        ("pip", "main"): (["install", "x"],),
        ("pip._internal", "main"): ([],),
        ("ctypes", "CDLL"): ("libc.so.6",),
        ("importlib", "import_module"): ("antigravity",),
        ("builtins", "__import__"): ("os",),
        ("builtins", "compile"): (code, "x", "exec"),
        ("pty", "spawn"): ("true",),
        ("builtins", "getattr"): (Name("os", "path"), "join"),
        ("sys", "exit"): (),
        ("os", "_exit"): (1,),
        ("webbrowser", "open"): ("http://localhost",),
        ("socket", "create_connection"): (("localhost", 1),),
        ("copyreg", "add_extension"): ("os", "system", 1),
        ("builtins", "map"): (OS, [order]),
        ("nt", "system"): (order,),
        ("builtins", "type"): ("X", (), {}),
        ("builtins", "setattr"): (Name("os", "path"), "sep", "x"),
        ("types", "FunctionType"): (b"", {}),
        ("types", "CodeType"): (),
        ("torch.hub", "load"): ("a/b", "c"),
        ("weakref", "finalize"): (OS, order),
        ("code", "interact"): (),
        ("builtins", "breakpoint"): (),
        ("synthforge.licensed.pickles", "read_pickle"): (str(sentinel),),
        ("logging.config", "fileConfig"): ("x",),
        ("torch._utils", "_rebuild_device_tensor_from_numpy"): (),
        ("numpy.core.multiarray", "fromfile"): ("x",),
    }
    routes = {
        f"{module} {name}": written(Call(Name(module, name), args)) for (module, name), args in direct.items()
    }
    getter = Call(Name("operator", "attrgetter"), ("system",))
    text, name = f"V{order}\n".encode(), b"cos\nsystem\n"
    return routes | {
        "functools partial": written(Call(Call(Name("functools", "partial"), (OS, order)))),
        "operator attrgetter": written(Call(Call(getter, (Name("os", "path"),)), (order,))),
        "operator methodcaller": written(Call(Call(Name("operator", "methodcaller"), ("touch",)), (1,))),
        "getattr of import": written(
            Call(
                Call(Name("builtins", "getattr"), (Call(Name("builtins", "__import__"), ("os",)), "system")),
                (order,),
            )
        ),
        "INST": b"(" + text + b"ios\nsystem\n.",
        "OBJ": b"(" + name + text + b"o.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n(](Vtouch\nV" + str(sentinel).encode() + b"\net\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n(](Vtouch\nV" + str(sentinel).encode() + b"\net}\x92.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.",
        "memo": b"\x80\x04" + name + b"p7\n0" + text + b"\x85p8\n0g7\ng8\nR.",
        "dotted": b"\x80\x04\x8c\x0bcollections\x8c\x22OrderedDict.__init__.__globals__.os\x93"
        + text
        + b"\x85R.",
        "dotted module": b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93" + text + b"\x85R.",
        "dotted in an allowed prefix": b"\x80\x04\x8c\x08chumpy.x\x8c\x06a.b.os\x93" + text + b"\x85R.",
        "EXT1": b"\x80\x02\x82\xf0" + text + b"\x85R.",
        "EXT2": b"\x80\x02\x83\xf0\x00" + text + b"\x85R.",
        "EXT4": b"\x80\x02\x84\xf0\x00\x00\x00" + text + b"\x85R.",
        "PERSID": b"P" + text[1:] + b".",
        "BINPERSID": text + b"Q.",
        "BUILD of a class": b"ccollections\nOrderedDict\n}Vpopitem\n" + name + b"sb.",
        "BUILD of a function": b"ccopyreg\n_reconstructor\n}V__code__\n" + name + b"sb.",
        "BUILD of slots": b"ccollections\nOrderedDict\nN}Vfromkeys\n" + name + b"s\x86b.",
        "SETITEM of a module's": b"cos\nenviron\nVPATH\nV/tmp\ns.",
        "APPEND to a module's": b"csys\npath\nV/tmp\na.",
        "a key": written({"a": {"b": [run]}}),
        "in arguments": written(Call(Name("collections", "OrderedDict"), ([["a", run]],))),
        "in an array": written(np.array([run], object)),
        "array of another class": written(
            Call(
                Name("numpy.core.multiarray", "_reconstruct"), (OS, (0,), b"b"), (1, (0,), order, False, b"")
            )
        ),
        "as an array's type": written(Call(Name("numpy", "dtype"), (run,))),
        "reconstructor": written(
            Call(Name("copyreg", "_reconstructor"), (OS, Name("builtins", "object"), None))
        ),
        "reconstructor of a base": written(
            Call(Name("copyreg", "_reconstructor"), (Name("chumpy", "X"), Name("subprocess", "Popen"), order))
        ),
        "codec": written(Call(Name("_codecs", "decode"), (order, "zip"))),
        "a module as class": written(Call(Name("chumpy.ch", "Ch"), (), run)),
        "in a set": b"\x80\x04\x8f(" + name + text + b"\x85R\x90.",
        "thrown away": name + text + b"\x85R0N.",
        "before the end": written([1, 2])[:-1] + b"0" + name + text + b"\x85R.",
    }


ARMED = (  # those that Python's own reader runs here, so that the test is known to test something
    "os system",
    "posix system",
    "builtins eval",
    "builtins exec",
    "builtins open",
    "io open",
    "_io FileIO",
    "subprocess call",
    "subprocess run",
    "subprocess getoutput",
    "runpy run_path",
    "runpy _run_code",
    "shutil copy",
    "pickle loads",
    "_pickle loads",
    "os mkdir",
    "functools partial",
    "getattr of import",
    "INST",
    "OBJ",
    "STACK_GLOBAL",
    "memo",
    "EXT1",
    "EXT2",
    "EXT4",
    "a key",
    "in arguments",
    "in an array",
    "in a set",
    "thrown away",
    "before the end",
    "as an array's type",
)


@pytest.fixture
def extension():
    copyreg.add_extension("os", "system", 0xF0)
    yield
    copyreg.remove_extension("os", "system", 0xF0)


def test_nothing_is_ever_run(tmp_path, extension):
    sentinel = tmp_path / "it-ran"
    before = [dict(vars(kind)) for kind in (Stub, pickle_machine.Machine)]
    for route, data in hostile(sentinel).items():
        message = refusal(
            data, prefixes={"chumpy": stub}, allow={("chumpy.ch", "Ch"): stub("chumpy.ch", "Ch")}
        )
        assert not sentinel.exists(), route
        if " " in route and route.split()[0] in (
            "os",
            "builtins",
            "subprocess",
            "pip",
            "runpy",
            "numpy.f2py",
        ):
            assert f"refused: it asks for `{route}`" in message
    assert before == [dict(vars(kind)) for kind in (Stub, pickle_machine.Machine)]


@pytest.mark.parametrize("route", ARMED)
def test_the_corpus_is_live(route, tmp_path, extension):
    """Python's own reader does run them: only the reader under test keeps the file from being made."""
    sentinel = tmp_path / "it-ran"
    data = hostile(sentinel)[route]
    assert data and not sentinel.exists()
    try:
        pickle.Unpickler(io.BytesIO(data)).load()
    except Exception:  # what comes after the order may fail
        pass
    deadline = time.monotonic() + 5
    while not sentinel.exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # a process that is not waited for
    assert sentinel.exists()


def test_names_are_told_in_one_line():
    assert "`evil\\nname os`" in refusal(b"\x80\x04\x8c\x09evil\nname\x8c\x02os\x93.")
    assert len(refusal(b"\x80\x04X" + struct.pack("<I", 5000) + b"a" * 5000 + b"\x8c\x01b\x93.")) < 300
    assert "refused" in refusal(b"\x80\x04\x8c\x06chumpy\x8c\x07a b;c()\x93.", prefixes={"chumpy": stub})


def test_states_change_nothing_but_the_object():
    data = written(Call(Name("chumpy.ch", "Ch"), (), {"__class__": 1, "module": 2, "__dict__": {}}))
    found = parsed(data, prefixes={"chumpy.": stub})
    assert type(found) is Stub and found.module == "chumpy.ch" and found.state["module"] == 2


# ---- what it may cost --------------------------------------------------------------------------------


def costly() -> dict[str, bytes]:
    n = 400_000
    shared = b"](" + b"K\x01" * 100_000 + b"ep0\n0"
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"p0\n0"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    kind = b"cnumpy\ndtype\n(V%s\nI00\nI01\ntR(K\x03V<\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    huge = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    return {
        "BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62),
        "BINUNICODE8": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40),
        "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 34) + b"abc.",
        "BINBYTES": b"B" + struct.pack("<I", (1 << 32) - 1) + b"abc.",
        "BINSTRING": b"T" + struct.pack("<i", -5) + b"abc.",
        "LONG4": b"\x8b" + struct.pack("<i", (1 << 31) - 1) + b"abc.",
        "LONG4 of what is there": b"\x8b" + struct.pack("<i", 5000) + b"a" * 5000 + b".",
        "LONG4 below zero": b"\x8b" + struct.pack("<i", -1) + b".",
        "INT": b"I" + b"9" * 100_000 + b"\n.",
        "FRAME": b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b"N.",
        "protocol": b"\x80\x06N.",
        "buffers": b"\x80\x05\x97.",
        "many objects": b"\x80\x04" + b"N" * 2_100_000 + b".",
        "deep key": b"\x80\x04)" + b"\x85" * n + b"}0}p0\n0g0\n)" + b"\x85" * 10 + b"Ns.",
        "tuple in a set": b"\x80\x04\x8f()" + b"\x85" * n + b"\x90.",
        "array's size": array + b"(K\x01" + huge + b"\x85" + kind % b"f8" + b"\x89C\x00tb.",
        "array's length": array + b"(K\x01K\x03\x85" + kind % b"f8" + b"\x89C\x05aaaaatb.",
        "array of objects": array + b"(K\x01" + huge + b"\x85" + kind % b"O8" + b"\x89]tb.",
        "array of records": written(Call(Name("numpy", "dtype"), ("V8",))),
        "array of pointers": array + b"(K\x01K\x01\x85" + kind % b"O8" + b"\x89C\x08aaaaaaaatb.",
        "number of pointers": written(
            Call(Name("numpy.core.multiarray", "scalar"), (Call(Name("numpy", "dtype"), ("O8",)), b"a" * 8))
        ),
        "same list to sets": shared + b"]" + b"c__builtin__\nset\np1\n0" + b"g1\ng0\n\x85Ra" * 2000 + b".",
        "same text encoded": text + b"]" + b"c_codecs\nencode\np1\n0" + b"g1\ng0\n\x85Ra" * 2000 + b".",
        "no end": b"\x80\x04" + b"]" * 100,
        "empty stack": b"a.",
        "no memo": b"\x80\x04h\x05.",
        "no mark": b"t.",
        "rest": b"N.N",
    }


@pytest.mark.parametrize("case", costly())
def test_costs_are_bounded(case):
    data = costly()[case]
    began = time.monotonic()
    refusal(data)
    assert time.monotonic() - began < 10  # about 1 s for the longest


def test_announced_sizes_are_not_allocated():
    cases = costly()
    tracemalloc.start()
    for case in (
        "BINBYTES8",
        "BINUNICODE8",
        "BYTEARRAY8",
        "BINBYTES",
        "LONG4",
        "FRAME",
        "array's size",
        "array of objects",
    ):
        refusal(cases[case])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    # The memo is a dictionary: an index is no size.
    assert parsed(b"\x80\x04Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.") is None


def test_nesting_is_no_recursion():
    found = parsed(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")
    for _ in range(99_999):
        (found,) = found
    assert found == []
    laughs = b"]" + b"2\x862\x86" * 40 + b"."  # 2^80 leaves, were they walked
    assert len(parsed(laughs)) == 2


def test_colliding_numbers_are_refused():
    keys = b"".join(b"\x8a\x08" + (i * ((1 << 44) + 0)).to_bytes(8, "little") + b"N" for i in range(5000))
    assert "as the key in a container" in refusal(b"\x80\x04}(" + keys + b"u.")


def test_gzip_bomb(tmp_path):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(gzip.compress(b"N" * (64 << 20)))  # 64 kB
    began = time.monotonic()
    with pytest.raises(AssetError, match="unpacks to more than"):
        read_pickle(path, {})
    assert time.monotonic() - began < 5


# ---- damage ------------------------------------------------------------------------------------------

SAMPLE = {
    "a": [1, 2.5, None, "x\xe9", b"\xff"],
    "b": (np.arange(6.0).reshape(2, 3), {"s", "t"}),
    "c": 1 << 80,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_anywhere(protocol):
    data = pickle.dumps(SAMPLE, protocol)
    for end in range(len(data)):
        refusal(data[:end])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_flipped_bits(protocol):
    data, rng = pickle.dumps(SAMPLE, protocol), random.Random(protocol)
    began, refused = time.monotonic(), 0
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            parsed(bytes(damaged))
        except AssetError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 200 and time.monotonic() - began < 20


PIECES = st.sampled_from(
    [bytes([code]) for code in range(256)]
    + [
        b"ccollections\nOrderedDict\n",
        b"cnumpy\ndtype\n",
        b"cnumpy\nndarray\n",
        b"c__builtin__\nset\n",
        b"cos\nsystem\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy.core.multiarray\nscalar\n",
        b"c_codecs\nencode\n",
        b"Vlatin1\n",
        b"Vf8\n",
        b"(",
        b")",
        b"]",
        b"}",
        b"K\x01",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"b",
        b"t",
        b"C\x01b",
        b"h\x00",
        b"\x94",
        b"cchumpy.ch\nCh\n",
        b"ccopyreg\n_reconstructor\n",
        b"c__builtin__\nobject\n",
        b"s",
        b"u",
        b"e",
        b"a",
        b".",
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=40))
def test_any_program_ends_well(pieces):
    try:
        parsed(b"".join(pieces) + b".", prefixes={"chumpy.": stub})
    except AssetError as error:
        assert "\n" not in str(error)
