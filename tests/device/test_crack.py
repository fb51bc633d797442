"""Guessing shipped passwords: what is tried, how much, and that the answer does not depend on the machine."""

import base64
import ctypes
import hashlib
import time

import pytest

from fwcheck.device import crack as module
from fwcheck.device.crack import crack, default_passwords, derived
from fwcheck.device.hashes import classify, guess_cost, is_hash, is_outdated

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


# What mkpasswd, htpasswd, openssl, mosquitto_passwd, Django, Werkzeug and passlib write.
WRITTEN = {
    "R/eFcBg/2xEfk": "hslwificam",
    "_J9..2HlirOkrCPAkYPg": "hslwificam",
    "$1$6molD7VK$Kdzft59eoByWNrNcDK7Y1.": "hslwificam",
    "$md5,rounds=904$saltsalt$$.Yxr.QzXAyyWn97SN3B/W0": "admin",
    "$5$6nLfRm9XZS5.8XpD$aQUqPdhKVaMU/q4x9TG4TKrbJokja4QstbwfCdIjZuB": "hslwificam",
    "$6$8wosyMryCs2xAxUd$vmJi7Fwzqeyxt5ZdIVX3fp3WJtzl0WPw6VOhlw/1claU6VBwBMPU0/Bb2tZp9.Hg.VErThlsYm0F5MIiY99dY/": "xc3511",
    "$3$$d25609057b6d8dd2a9da29079171b5d9": "hslwificam",
    "$2b$05$2U2XCfi0.uokfHnGbinddu0PUmkxsJm0Jsl8/8JADW9/BnjusU2zi": "hslwificam",
    "$gy$j9T$saltsalt$VQ9B8YkE1rzrcjAF.XCjc84sa9rbsA4u.UtBTS7lj.B": "admin",
    "$7$CU..../....saltsalt$i2G9nsh1alGgKG258LZL6i2SQDNW5wvAsvnmkz0J8A4": "admin",
    "$sha1$40000$saltsalt$PgEjETXFkV.i1sBJXPdLnNexxCL9": "admin",
    "$apr1$KYxZWbxb$guzj/VZQE6aXCn.VByH321": "vizxv",
    "$2y$05$GCFgmYcePQvwoLVuqZIUIuhRKNQTsao6R2YVka03oVeOSMVML.Jgu": "vizxv",
    "{CRYPT}$1$abc$UfJ9tMwgLnYy0dDQfQx7o1": "xc3511",
    "{SSHA}8R//Aof3UTUt++ZeN/5ZlKU1NZ+GsFbK": "juantech",
    "{SMD5}4zhbGgOqbB+xT7TYB3DSs9pbS0k=": "juantech",
    "{SSHA256}g3PCtIzDoEBhNGrDe1CcBhN6+1SeTN00FZqrHJRPJ4CfsxbCOOfc+w==": "juantech",
    "{SSHA512}3U0/fLxoRPRoJFmQAHsb4714ife0kr+nC/HQrAkjVlSm95Cks0F8mDBsl8MMJ95eDvkVJ0B1IwkDhND9N1b6ztDaO+fcW6s1": "juantech",
    "$pbkdf2-sha256$1000$FkLI.V9L6X3PWas15hwDAA$RfDjqf/kD69YrvnRBD5iRddH0WKVAOdcT03uYV0Vy50": "juantech",
    "$pbkdf2$1000$N6YU4vy/t5ZyDoGQ8r733g$l1XZtSDqotQYSYUwA6HxgsvHT3c": "juantech",
    "pbkdf2_sha256$1000$z295ySuE4E8h$fyO9SKs/zbDoSCzFW/BakE7Xtvl9VtmttewLUbqDoQM=": "juantech",
    "$scrypt$ln=10,r=8,p=1$LGUsZez9v7fWurd2jvE+Rw$tIrzrEum4VZtnTvvtX7Nu/sGxaIoqgVi0elG8U/0+lE": "juantech",
    "*30E69E0FA445C9586682E5D0B8F2354B07DAD5AF": "juantech",
    "{nt}4bc533ea4df478cd85a5af1a6e73d641": "juantech",
    "md5a278c61ae060049fed2c1f2798800ded": "juantech",
    "{digest}admin:cam:cb5c2b5da9506ca326c8c5a6e1f25643": "juantech",
    "{sofia}6QNMIQGe": "admin",
    "{sofia}tlJwpbo6": "",
    "{PLAIN}vizxv": "vizxv",
}


@pytest.mark.parametrize(("field", "word"), WRITTEN.items(), ids=lambda each: str(each)[:12])
def test_what_real_tools_write_is_read(field, word):
    if field.startswith(("$2", "$gy", "$7", "$md5", "$3")) and module._library() is None:
        pytest.skip("no libcrypt on this system")
    assert is_hash(field)
    assert crack({field: ["admin"]}) == {field: word}


def test_web_frameworks_and_brokers_have_forms_of_their_own():
    salt = base64.b64encode(b"twelve bytes").decode()
    made = base64.b64encode(hashlib.pbkdf2_hmac("sha512", b"vizxv", b"twelve bytes", 101)).decode()
    single = base64.b64encode(hashlib.sha512(b"vizxv" + b"twelve bytes").digest()).decode()
    werkzeug = hashlib.scrypt(b"vizxv", salt=b"pepper", n=1024, r=8, p=1).hex()
    grub = hashlib.pbkdf2_hmac("sha512", b"vizxv", b"saltsalt", 1000).hex().upper()
    fields = {
        f"$7$101${salt}${made}",
        f"$6${salt}${single}",
        f"scrypt:1024:8:1$pepper${werkzeug}",
        f"grub.pbkdf2.sha512.1000.{b'saltsalt'.hex().upper()}.{grub}",
        f"pbkdf2:sha256:1000$pepper${hashlib.pbkdf2_hmac('sha256', b'vizxv', b'pepper', 1000).hex()}",
        hashlib.md5(b"admin:vizxv").hexdigest(),
        hashlib.sha256(b"vizxv").hexdigest().upper(),
    }
    assert crack({field: ["admin"] for field in fields}) == dict.fromkeys(fields, "vizxv")


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
        "$sha1$4294967295$saltsalt$" + "a" * 28,
        "$md5,rounds=4294967295$saltsalt$$" + "a" * 22,
        "$7$zz..../....saltsalt$" + "a" * 43,
        "pbkdf2_sha256$99999999$salt$" + "a" * 43 + "=",
        "$scrypt$ln=31,r=99,p=9$" + "a" * 22 + "$" + "a" * 43,
        "$argon2id$v=19$m=99999999,t=99,p=1$" + "a" * 22 + "$" + "a" * 43,
        "grub.pbkdf2.sha512.99999999." + "0" * 128 + "." + "0" * 128,
        "{SSHA}!!!!" + "=" * 4000,
        "plain",
        "",
    ],
)
def test_hashes_that_ask_for_unbounded_work_are_not_tried(field):
    begun = time.monotonic()
    assert crack({field: ["root"]}) == {}
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("count", [1, 2, 10, 100, 250])
def test_the_work_of_an_image_is_bounded_however_many_hashes_it_has(count):
    kinds = ("$6$salt{}$" + "a" * 86, "$2b$12$" + "a" * 48 + "{:05d}", "$1${:05d}$" + "a" * 22, "{:032x}")
    costs = {field: guess_cost(field) for index in range(count) for kind in kinds for field in [kind.format(index)]}
    counts = module._counts(costs)
    assert sum(counts[field] * costs[field] for field in costs) <= module._BUDGET


def test_what_one_hash_does_not_use_goes_to_the_others():
    counts = module._counts({"des": 4, "sha": 940, "bcrypt": 43_000})
    assert counts["des"] >= len(default_passwords())
    assert counts["sha"] >= 1_000
    assert counts["bcrypt"] >= 30


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
        ("{CRYPT}$6$salt$x", ("hash", "sha512")),
        ("$md5,rounds=904$saltsalt$$.Yxr.QzXAyyWn97SN3B/W0", ("hash", "md5")),
        ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "a" * 43, ("hash", "other")),
        ("administrator", ("hash", "other")),  # thirteen letters, and no DES hash ends in r
        ("*NP*", ("locked", None)),
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


@pytest.mark.parametrize(
    ("field", "outdated"),
    [
        ("rJ0FHsG0ZbyZo", True),
        ("$1$abc$UfJ9tMwgLnYy0dDQfQx7o1", True),
        ("$apr1$b7tUCZrC$UjhWlPgc4EvLpuyPu1zVs0", True),
        ("21232f297a57a5a743894a0e4a801fc3", True),
        ("{SSHA}8R//Aof3UTUt++ZeN/5ZlKU1NZ+GsFbK", True),
        ("secret", True),
        ("$5$salt$x", False),
        ("$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW", False),
        ("$y$j9T$saltsalt$eRUYpyv0wa8cW/.IZz.cVFgx5mBQHFjObOFvn7VIALA", False),
        ("pbkdf2_sha256$1000$z295ySuE4E8h$fyO9SKs/zbDoSCzFW/BakE7Xtvl9VtmttewLUbqDoQM=", False),
        ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "a" * 43, False),
    ],
)
def test_schemes_that_are_guessed_by_the_million_are_outdated(field, outdated):
    assert is_outdated(field) is outdated


def test_passwords_found_in_the_image_are_tried_even_on_slow_schemes():
    field = crypt("Tr4verse-Gl0be", "$2b$08$abcdefghijklmnopqrstuu")
    assert crack({field: ["root"]}) == {}
    assert crack({field: ["root"]}, (), ["Tr4verse-Gl0be"]) == {field: "Tr4verse-Gl0be"}


def test_a_password_that_opened_one_account_is_tried_on_the_next():
    known, slow = crypt("ttnet", "$1$saltsalt$"), crypt("ttnet", "$2b$08$abcdefghijklmnopqrstuu")
    assert crack({slow: ["root"]}) == {}
    assert crack({known: ["x"], slow: ["root"]}) == {known: "ttnet", slow: "ttnet"}
