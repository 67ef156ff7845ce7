# What tests and tested code tell each other: lines of JSON, and values that hold data alone. Neither
# side ever runs what it reads.
import decimal, fractions, json, numbers, os, sys

LONGEST = 64 << 20
SEVERAL = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class Channel:
    """Lines over the socket that is descriptor 3."""

    def __init__(self):
        self.source = os.fdopen(os.dup(3), "rb")
        self.target = os.fdopen(3, "wb")

    def send(self, message):
        self.target.write(json.dumps(message).encode("ascii") + b"\n")
        self.target.flush()

    def receive(self):
        """None where the other side is gone, or says nothing that could be read."""
        try:
            line = self.source.readline(LONGEST)
            return json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError, RecursionError, MemoryError):
            return None


def encode(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, numbers.Integral):
        return ["int", hex(int(value))]
    if isinstance(value, fractions.Fraction):
        return ["fraction", hex(value.numerator), hex(value.denominator)]
    if isinstance(value, numbers.Real):
        return ["float", float(value).hex()]
    if isinstance(value, complex):
        return ["complex", value.real.hex(), value.imag.hex()]
    if isinstance(value, decimal.Decimal):
        return ["decimal", str(value)]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, dict):
        return ["dict", [[encode(k), encode(v)] for k, v in value.items()]]
    if isinstance(value, (type({}.keys()), type({}.items()))):
        value = set(value)
    if isinstance(value, range):
        return ["range", hex(value.start), hex(value.stop), hex(value.step)]
    for name, kind in SEVERAL.items():
        if isinstance(value, kind):
            return [name, [encode(each) for each in value]]
    if hasattr(value, "tolist"):  # numpy's
        return encode(value.tolist())
    return unknown(value)


def unknown(value):
    return ["other", type(value).__name__, bool(value)]


class Other:
    """Something that is no plain data: equal to nothing."""

    def __init__(self, name, truth):
        self.name, self.truth = str(name), truth is True

    def __bool__(self):
        return self.truth

    def __repr__(self):
        return f"<{self.name}>"

    __eq__ = lambda self, other: False
    __ne__ = lambda self, other: True
    __hash__ = object.__hash__


def decode(value):
    if not isinstance(value, list):
        return value if isinstance(value, (bool, str, type(None))) else Other("?", False)
    kind, *rest = value
    if kind in SEVERAL:
        return SEVERAL[kind](decode(each) for each in rest[0])
    return {
        "int": lambda x: int(x, 16),
        "float": float.fromhex,
        "complex": lambda x, y: complex(float.fromhex(x), float.fromhex(y)),
        "fraction": lambda x, y: fractions.Fraction(int(x, 16), int(y, 16)),
        "decimal": decimal.Decimal,
        "bytes": bytes.fromhex,
        "dict": lambda items: {decode(k): decode(v) for k, v in items},
        "range": lambda *edges: range(*(int(edge, 16) for edge in edges)),
        "other": Other,
    }[kind](*rest)
