"""ECDSA over NIST P-256 in pure Python: makes and uses the device's identity key, nothing else.

The standard library cannot make keys, and a device need not have OpenSSL's program. Used a few
times in a device's life (enrolment, renewal), so 10 ms a signature is fine. The arithmetic is not
constant in time: an observer who can time it on the device itself can read the key file too.
TLS is done by ``ssl``, never with this code.

Source: SEC 1 v2.0 (curve arithmetic, signatures), RFC 6979 (deterministic nonces).
"""

import hashlib
import hmac
import secrets

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
SIZE = 32  # bytes of a coordinate, of the private number and of a hash

Point = tuple[int, int]
_Jacobian = tuple[int, int, int]  # (X, Y, Z) stands for (X/Z², Y/Z³); Z = 0 is infinity
_INFINITY: _Jacobian = (1, 1, 0)


def generate() -> int:
    """A new private number in [1, N)."""
    return secrets.randbelow(N - 1) + 1


def public_point(private: int) -> Point:
    """The public key of ``private``."""
    return _multiply(private, G)


def encode_point(point: Point) -> bytes:
    """The uncompressed form: 04 ‖ X ‖ Y (SEC 1 §2.3.3)."""
    return b"\x04" + point[0].to_bytes(SIZE, "big") + point[1].to_bytes(SIZE, "big")


def sign(private: int, message: bytes) -> tuple[int, int]:
    """``(r, s)`` over SHA-256 of ``message`` (SEC 1 §4.1.3), with the nonce of RFC 6979."""
    digest = hashlib.sha256(message).digest()
    z = int.from_bytes(digest, "big")
    nonces = _Nonces(private, digest)
    while True:
        k = nonces.next()
        r = _multiply(k, G)[0] % N
        s = pow(k, -1, N) * (z + r * private) % N
        if r and s:
            return r, s


def verify(point: Point, message: bytes, signature: tuple[int, int]) -> bool:
    """Whether ``signature`` over ``message`` was made with the key of ``point`` (SEC 1 §4.1.4)."""
    r, s = signature
    if not (0 < r < N and 0 < s < N):
        return False
    z = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(s, -1, N)
    total = _add(_jacobian(z * inverse % N, G), _jacobian(r * inverse % N, point))
    return total[2] != 0 and _affine(total)[0] % N == r


class _Nonces:
    """The candidate nonces of RFC 6979 §3.2 for one key and digest."""

    def __init__(self, private: int, digest: bytes) -> None:
        seed = private.to_bytes(SIZE, "big") + (int.from_bytes(digest, "big") % N).to_bytes(
            SIZE, "big"
        )
        self._v, self._k = b"\x01" * SIZE, b"\x00" * SIZE
        for separator in (b"\x00", b"\x01"):
            self._k = self._mac(self._v + separator + seed)
            self._v = self._mac(self._v)

    def next(self) -> int:
        while True:
            self._v = self._mac(self._v)
            candidate = int.from_bytes(self._v, "big")
            self._k, spare = self._mac(self._v + b"\x00"), self._v
            self._v = self._mac(spare)
            if 0 < candidate < N:
                return candidate

    def _mac(self, data: bytes) -> bytes:
        return hmac.new(self._k, data, hashlib.sha256).digest()


def _multiply(factor: int, point: Point) -> Point:
    return _affine(_jacobian(factor, point))


def _jacobian(factor: int, point: Point) -> _Jacobian:
    total, addend = _INFINITY, (point[0], point[1], 1)
    while factor:
        if factor & 1:
            total = _add(total, addend)
        addend = _double(addend)
        factor >>= 1
    return total


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    if not z or not y:
        return _INFINITY
    square = y * y % P
    s = 4 * x * square % P
    m = 3 * (x - z * z) * (x + z * z) % P  # a = -3 on this curve
    new_x = (m * m - 2 * s) % P
    return new_x, (m * (s - new_x) - 8 * square * square) % P, 2 * y * z % P


def _add(left: _Jacobian, right: _Jacobian) -> _Jacobian:
    if not left[2]:
        return right
    if not right[2]:
        return left
    (x1, y1, z1), (x2, y2, z2) = left, right
    z1_squared, z2_squared = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * z2_squared % P, x2 * z1_squared % P
    s1, s2 = y1 * z2 * z2_squared % P, y2 * z1 * z1_squared % P
    if u1 == u2:
        return _double(left) if s1 == s2 else _INFINITY
    h, r = u2 - u1, s2 - s1
    h_squared = h * h % P
    h_cubed, v = h * h_squared % P, u1 * h_squared % P
    x = (r * r - h_cubed - 2 * v) % P
    return x, (r * (v - x) - s1 * h_cubed) % P, h * z1 * z2 % P


def _affine(point: _Jacobian) -> Point:
    x, y, z = point
    inverse = pow(z, -1, P)
    return x * inverse * inverse % P, y * inverse**3 % P
