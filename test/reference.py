# Known answers for the constructions of SPEC.md, by Python's hashlib and hmac alone: another implementation than the one
# under test. `python3 test/reference.py` prints what the tests hold.
import base64
import hashlib
import hmac

LP = lambda x: len(x).to_bytes(4, "big") + x
D = lambda label: LP(b"keystrata/v1/" + label)


def hkdf(ikm, salt, info, length):
    prk = hmac.new(salt or bytes(64), ikm, "sha512").digest()
    out = block = b""
    for i in range(-(-length // 64)):
        block = hmac.new(prk, block + info + bytes([i + 1]), "sha512").digest()
        out += block
    return out[:length]


def KDF(ikm, salt, label, context, length):
    return hkdf(ikm, salt, D(label) + b"".join(map(LP, context)) + length.to_bytes(2, "big"), length)


key = bytes(range(32))
print("KDF", KDF(key, bytes(range(100, 132)), b"wrap", [b"\x07"], 64).hex())
print("key id", KDF(key, b"", b"key-id", [], 16).hex())

content = b"keystrata"
d = hashlib.sha256(content).digest()
dedup_key, block_salt = bytes([0x22]) * 32, bytes([0x33]) * 32
print("scoped key", hmac.new(dedup_key, D(b"scoped-key") + d, "sha256").hexdigest())
print("global key", hashlib.sha3_256(content).hexdigest())
for mode in (1, 3, 4):
    print("label", mode, hmac.new(KDF(block_salt, b"", b"block-label", [bytes([mode])], 32), d, "sha256").hexdigest())
print("label 2", hashlib.sha256(content + KDF(block_salt, b"", b"global-salt", [], 32)).hexdigest())

pk_x, pk_m = bytes([1]) * 32, bytes([2]) * 1568
print("public key id", hashlib.sha256(D(b"pk-id") + LP(pk_x) + LP(pk_m)).digest()[:16].hex())

header, epk, ct_m, context = bytes(range(48)), bytes([3]) * 32, bytes([4]) * 1568, bytes([5]) * 32
ss_x, ss_m = bytes([6]) * 32, bytes([7]) * 32


def transcript(ct, pk):
    return hashlib.sha512(D(b"kem-transcript") + b"".join(map(LP, [header, epk, pk_x, ct, pk, context]))).digest()


def F(k, label, t):
    return hmac.new(k, D(label) + LP(t), "sha512").digest()[:32]


t = transcript(ct_m, pk_m)
x = bytes(a ^ b for a, b in zip(F(ss_x, b"kem/x25519", t), F(ss_m, b"kem/ml-kem-1024", t)))
print("hybrid", F(x, b"kem/combined", t).hex(), F(x, b"kem/envelope", t).hex())
t = transcript(b"", b"")
x = F(ss_x, b"kem/x25519", t)
print("x25519", F(x, b"kem/combined", t).hex(), F(x, b"kem/envelope", t).hex())


def login(password, realm, user):
    salt = hashlib.sha512(D(b"login-salt") + LP(realm.encode()) + LP(user.encode())).digest()[:32]
    out = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 600_000, 48)
    return base64.urlsafe_b64encode(out[:24]).decode(), out[24:].hex()


print("login", *login("correct horse battery staple", "tests", "alice"))
print("login", *login("p\u00e5ssw\u00f6rd \U0001f511", "com.example.backup", "\u00fc.user@example.com"))


# The revision of a keyset (SPEC 5.2), from a master key, 32 random bytes and contents.
revision_key = KDF(key, b"", b"revision", [], 32)
print("revision", hmac.new(revision_key, bytes([9]) * 32 + hashlib.sha256(content).digest(), "sha256").hexdigest()[:32])


# Verifiers (SPEC 8.2) of L = 24 bytes of 0x11, by the C library's bcrypt. Python has the module `crypt` up to 3.12.
def verifier(text, prefix, cost):
    import crypt

    return crypt.crypt(text, f"${prefix}${cost}$abcdefghijklmnopqrstuu")


login_key = bytes([0x11]) * 24
text = base64.b64encode(hashlib.sha512(login_key).digest()).decode()[:72]
for prefix, cost in (("2b", 10), ("2b", 12), ("2a", 10)):
    print("verifier", verifier(text, prefix, cost))
longer = base64.b64encode(hashlib.sha512(bytes([0x11]) * 25).digest()).decode()[:72]
print("verifier of 25 bytes", verifier(longer, "2b", 10))
print("verifier of the credential itself", verifier(base64.urlsafe_b64encode(login_key).decode(), "2b", 10))
