"""A folder here and one of an object store do the same; what an object store refuses is one line."""

from __future__ import annotations

import hashlib
import secrets

import pytest

from kd_keras.common import folders
from kd_keras.common.errors import UserError
from kd_keras.common.folders import Away, folder_at


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KD_KERAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["here", "away"])
def folder(request, tmp_path):
    """A folder on this machine, and one that fsspec keeps in memory."""
    return folder_at(tmp_path / "f" if request.param == "here" else f"memory://{secrets.token_hex(8)}/f", "--x")


def put(folder, name: str, content: bytes) -> None:
    with folder.writing(name) as file:
        file.write(content)


def test_what_is_written_is_read(folder):
    assert not folder.exists() and folder.names() == set() and not folder.has("a")
    assert folder.sha256("a") is None
    with pytest.raises(OSError):
        folder.open("a")
    put(folder, "a", b"\0\xff")
    folder.write_json("b.json", {"ä": [1]})
    assert folder.exists() and folder.names() == {"a", "b.json"} and folder.has("a")
    with folder.open("a") as file:
        assert file.read() == b"\0\xff"
    assert folder.sha256("a") == hashlib.sha256(b"\0\xff").hexdigest()
    assert folder.read_json("b.json") == {"ä": [1]}
    put(folder, "a", b"new")
    with folder.open("a") as file:
        assert file.read() == b"new"
    assert not (folder / "sub").exists()
    put(folder / "sub", "c", b"")
    assert (folder / "sub").names() == {"c"} and folder_at(folder.address(), "--x").names() == folder.names()
    assert folder_at(folder, "--x") is folder


def test_json_is_the_same_bytes_everywhere(folder):
    folder.write_json("b.json", {"ä": [1]})
    with folder.open("b.json") as file:
        assert file.read() == '{\n  "ä": [\n    1\n  ]\n}\n'.encode()
    put(folder, "c.json", b'{"a": ')
    with pytest.raises(UserError, match=r"f/c\.json.*not JSON"):
        folder.read_json("c.json")


def test_what_fails_half_way_leaves_nothing(folder):
    with pytest.raises(KeyboardInterrupt), folder.writing("a") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert not folder.has("a") and folder.names() == set()


def test_a_look_whether_it_can_be_written_leaves_nothing(folder):
    folder.check_writable("--x")
    assert folder.names() == set()


def test_a_copy_is_fetched_once(cache, monkeypatch):
    away = folder_at(f"memory://{secrets.token_hex(8)}/f", "--x")
    put(away, "a", b"one")
    put(away, "b", b"two")
    hashes = {name: away.sha256(name) for name in ("a", "b")}
    copy = away.here(hashes, ["none"])
    assert copy.path.parent == cache and str(copy) == str(away) and copy.names() == {"a", "b"}
    fetched = []
    real = Away._get
    monkeypatch.setattr(Away, "_get", lambda self, name: fetched.append(name) or real(self, name))
    (copy.path / "b").write_bytes(b"tw")
    assert away.here(hashes).path == copy.path and fetched == ["b"] and (copy.path / "b").read_bytes() == b"two"
    put(away, "a", b"other")  # other files are another copy
    assert away.here({"a": away.sha256("a")}).path != copy.path


def test_a_folder_here_is_its_own_copy(tmp_path):
    folder = folder_at(tmp_path, "--x")
    assert folder.here({"a": "0"}) is folder


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://key:hidden@bucket/x", r"--x=s3://…: has a password in it; give it in the environment"),
        ("s3://", r"--x=s3://: names no bucket; expected s3://BUCKET/PREFIX"),
        ("file://other/x", r"--x=file://other/x: names a file of other; expected file:///FOLDER"),
        (
            "none://bucket/x",
            r"none://bucket/x: no installed library opens such an address; expected s3://.*\(Protocol not known: none\)",
        ),
        ("s3://bucket/a b", r"s3://bucket/a b: Cannot parse URI"),
    ],
)
def test_addresses_that_nothing_opens(address, said):
    with pytest.raises(UserError, match=said) as error:
        folder_at(address, "--x")
    assert "hidden" not in str(error.value) and "\n" not in str(error.value)


def test_an_address_of_this_machine_is_a_path(tmp_path):
    assert folder_at(f"file://{tmp_path}/a%20b", "--x").path == tmp_path / "a b"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            "When uploading object with key 'x' in bucket 'b': AWS Error NO_SUCH_BUCKET during PutObject operation: The "
            "specified bucket does not exist (Request ID: yM6P)",
            "there is no such bucket; make it, or give another address (AWS Error NO_SUCH_BUCKET)",
        ),
        (
            "When getting information for key 'x' in bucket 'b': AWS Error ACCESS_DENIED during HeadObject operation: No "
            "response body.",
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            "When getting information for key 'x' in bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject operation: "
            "curlCode: 7, Could not connect to server",
            "cannot be reached; look at the network and AWS_ENDPOINT_URL; what was finished is kept",
        ),
        (
            "AWS Error UNKNOWN (HTTP status 301)\nduring HeadObject",
            "AWS Error UNKNOWN (HTTP status 301) during HeadObject",
        ),
    ],
)
def test_what_is_refused_is_one_line(monkeypatch, raised, said):
    away = folder_at("memory://b/p", "--x")

    class Refuses:
        def __getattr__(self, name):
            raise OSError(raised)

    monkeypatch.setattr(away, "_files", Refuses())
    for ask in (
        lambda: away.names(), lambda: away.has("x"), lambda: away.sha256("x"), lambda: away.write_json("x", 1),
        lambda: away.check_writable("--x"), away.exists, lambda: away.here({}, ["x"]),
    ):  # fmt: skip
        with pytest.raises(UserError) as error:
            ask()
        assert said in str(error.value) and "\n" not in str(error.value) and "memory://b/p" in str(error.value)


def test_nothing_is_imported_for_a_folder_here(run_python):
    done = run_python("-c", "import sys; from kd_keras.common.folders import folder_at; folder_at('x', '--x').names()\n"
                            "print('pyarrow' in sys.modules)")  # fmt: skip
    assert done.stdout.strip() == "False", done.stderr


def test_what_is_told_beyond_the_address_can_be_told_otherwise():
    assert (
        folders._opened("s3://b/p?region=eu-north-1&endpoint_override=localhost:1&scheme=http")[0].region
        == "eu-north-1"
    )
