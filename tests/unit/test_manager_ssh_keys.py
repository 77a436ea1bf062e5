"""Public keys as people paste them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sitewright.errors import InvalidValueError
from sitewright.manager.accounts.ssh_keys import parse_key

GOOD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChAzSmCNuDrCOvMrTUi2RfDGpNNRTZ2JsFnJRgmS"


def line(key) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]
)
def test_a_good_key_is_read(key):
    found = parse_key(f"  {line(key)}   alice@laptop \n")
    assert found.line == line(key)
    assert found.comment == "alice@laptop"
    assert found.fingerprint.startswith("SHA256:")
    assert len(found.fingerprint) == 50


def test_the_fingerprint_is_the_one_that_ssh_shows():
    assert parse_key(GOOD).fingerprint == "SHA256:9FIaCTBIFovWI8splS24aZxREcgsmDNrXBy6KcYrpPE"


def test_a_secret_key_is_not_taken_and_not_repeated():
    secret = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    with pytest.raises(InvalidValueError, match="secret half") as refused:
        parse_key(secret)
    assert secret.splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "one line"),
        (f"{GOOD}\n{GOOD}", "one line"),
        ("hello", "does not look like"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACB", "kind of key is not taken"),
        ("ssh-ed25519", "incomplete"),
        ("ssh-ed25519 AAAA", "incomplete"),
        ("ssh-ed25519 !!!!", "incomplete"),
        (GOOD[:-8], "incomplete"),
        (GOOD.replace("ssh-ed25519", "ssh-rsa", 1), "incomplete"),
        (f'command="id" {GOOD}', "does not look like"),
        ("x" * 20_000, "one line"),
    ],
)
def test_anything_else_is_refused_in_words(text, word):
    with pytest.raises(InvalidValueError, match=word):
        parse_key(text)


def test_a_weak_key_is_refused():
    with pytest.raises(InvalidValueError, match="1024 bits is too weak"):
        parse_key(line(rsa.generate_private_key(65537, 1024)))
