"""Guessing shipped passwords: what is tried, how much, and that the answer does not depend on the machine."""

import ctypes
import time

import pytest

from fwcheck.device import crack as module
from fwcheck.device.crack import crack, default_passwords, derived
from fwcheck.device.hashes import classify, guess_cost

HASHES = {
    "ab8nBoH3mb8.g": "helpme",  # DES, published for several cameras
    "$1$0Vm9RSlw$8wnn5u9Hjmh4dgXUpQjcr0": None,
    "$apr1$b7tUCZrC$UjhWlPgc4EvLpuyPu1zVs0": None,
    "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=": "admin",
    "21232f297a57a5a743894a0e4a801fc3": "admin",
    "{nt}209C6174DA490CAEB422F3FA5A7AE634": "admin",
    "$2a$08$abcdefghijklmnopqrstuufWc.T6.aN551NI6HLP.S3w30zEHEVWq": "admin",
    "$y$j9T$abcdefghijklmnop$5MpaJ6mYQgeqLje.dQWuzmjhB.Uwp8kNmSyfdzfZPa5": "admin",
}


def crypt(word: str, setting: str) -> str:
    library = module._library()
    if library is None:
        pytest.skip("no libcrypt on this system")
    return library.crypt_r(word.encode(), setting.encode(), ctypes.create_string_buffer(256 << 10)).decode()


@pytest.mark.parametrize(("field", "word"), HASHES.items(), ids=lambda each: str(each)[:12])
def test_a_known_default_password_is_found_in_every_scheme(field, word):
    if field.startswith(("$2", "$y")) and module._library() is None:
        pytest.skip("no libcrypt on this system")
    assert crack({field: ["root"]}).get(field) == word


@pytest.mark.parametrize("setting", ["ab", "_J9..rasm", "$1$saltsalt$", "$5$saltsalt$", "$6$saltsalt$"])
@pytest.mark.parametrize("word", ["xc3511", "root123", "hslwificam"])
def test_words_of_the_list_are_found_whatever_the_scheme(setting, word):
    field = crypt(word, setting)
    assert crack({field: ["operator"]}) == {field: word}


@pytest.mark.parametrize("setting", ["ab", "$1$saltsalt$", "$5$saltsalt$", "$6$rounds=1000$saltsalt$"])
def test_without_a_system_library_the_fallback_finds_the_same(setting, monkeypatch):
    field = crypt("vizxv", setting)
    monkeypatch.setattr(module, "_library", lambda: None)
    assert crack({field: ["root"]}) == {field: "vizxv"}


def test_words_made_from_names_and_models_come_first():
    field = crypt("luckycam123", "$6$saltsalt$")
    assert crack({field: ["root"]}) == {}
    assert crack({field: ["root"]}, ["LuckyCam"]) == {field: "luckycam123"}
    assert derived(["svc"], [])[:2] == ("svc", "svc123")


def test_a_strong_password_stays_unknown():
    field = crypt("T9#vv-qLe2.ztX", "$1$saltsalt$")
    assert crack({field: ["root"]}, ["router"]) == {}


def test_the_first_fitting_word_wins_every_time():
    field = crypt("12345678", "ab")  # DES reads eight characters: 123456789 and 1234567890 fit as well
    assert {crack({field: ["x"]})[field] for _ in range(12)} == {"12345678"}


@pytest.mark.parametrize(
    "field",
    [
        "$6$rounds=999999999$saltsalt$" + "a" * 86,
        "$2b$31$" + "a" * 53,
        "$y$jZT$saltsaltsalt$" + "a" * 43,
        "_zzzzsalt" + "a" * 11,
        "$7$zz..../....salt$" + "a" * 43,
        "$md5,rounds=4294967295$salt$$aaaa",
        "$sha1$4294967295$salt$aaaa",
        "plain",
        "",
    ],
)
def test_hashes_that_ask_for_unbounded_work_are_not_tried(field):
    begun = time.monotonic()
    assert crack({field: ["root"]}) == {}
    assert time.monotonic() - begun < 1


def test_the_work_of_an_image_is_bounded_however_many_hashes_it_has():
    costs = []
    for count in (1, 10, 100):
        hashes = [f"$6$salt{index:04d}$" + "a" * 86 for index in range(count)]
        share = module._BUDGET // count
        costs.append(sum(module._count(guess_cost(each), share) * guess_cost(each) for each in hashes))
    assert max(costs) <= module._BUDGET


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("", ("empty", None)),
        ("x", ("locked", None)),
        ("*", ("locked", None)),
        ("!", ("locked", None)),
        ("!!", ("locked", None)),
        ("!$6$salt$hash", ("locked", None)),
        ("*LK*", ("locked", None)),
        ("rJ0FHsG0ZbyZo", ("hash", "des")),
        ("_J9..rasmBYk8r9AiWNc", ("hash", "des")),
        ("$1$$iC.dUsGpxNNJGeOm1dFio/", ("hash", "md5")),
        ("$5$salt$x", ("hash", "sha256")),
        ("$6$salt$x", ("hash", "sha512")),
        ("$2y$10$x", ("hash", "bcrypt")),
        ("$y$j9T$x$y", ("hash", "yescrypt")),
        ("$gy$j9T$x$y", ("hash", "yescrypt")),
        ("{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", ("hash", "other")),
        ("letmein99", ("hash", "other")),
    ],
)
def test_password_fields_are_told_apart(field, expected):
    assert classify(field) == expected


def test_the_word_list_is_clean():
    words = default_passwords()
    assert len(words) == len(set(words)) >= 800
    assert all(word.isprintable() and " " not in word and len(word) <= 40 for word in words)
    # What the list promises to slow schemes.
    assert {"admin", "root", "123456", "xc3511", "vizxv"} <= set(words[: module._FEW])
