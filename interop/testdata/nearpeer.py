"""A subscriber of a cache server's feed of invalidations, written from the table
of docs/invalidations.md. Its argument is the server's address. It prints "joined"
when it knows the numbers of all lanes. For each line of stdin, a list of keys in
JSON, it asks for a fence, waits until it is reached, and prints what it knows.
"""

import json
import socket
import struct
import sys

import zmq

OPS = {1: "changed", 2: "deleted", 3: "touched", 4: "all", 5: "prefix", 6: "lost"}

P1, P2, P3, P4, P5 = (
    11400714785074694791, 14029467366897019727, 1609587929392839161,
    9650029242287828579, 2870177450012600261,
)
M = (1 << 64) - 1


def rotl(x, n):
    return ((x << n) | (x >> (64 - n))) & M


def rnd(acc, lane):
    return rotl((acc + lane * P2) & M, 31) * P1 & M


def xxh64(b):
    """XXH64 with seed 0, of fewer than 32 octets."""
    h, at = (P5 + len(b)) & M, 0
    while at + 8 <= len(b):
        h = (rotl(h ^ rnd(0, struct.unpack_from("<Q", b, at)[0]), 27) * P1 + P4) & M
        at += 8
    if at + 4 <= len(b):
        h = (rotl(h ^ struct.unpack_from("<I", b, at)[0] * P1 & M, 23) * P2 + P3) & M
        at += 4
    for c in b[at:]:
        h = rotl(h ^ c * P5 & M, 11) * P1 & M
    h = (h ^ h >> 33) * P2 & M
    h = (h ^ h >> 29) * P3 & M
    return h ^ h >> 32


host, port = sys.argv[1].rsplit(":", 1)
cache = socket.create_connection((host, int(port)), timeout=120)
lines = cache.makefile("rb")


def fence(nonce):
    cache.sendall(b"mf %d\r\n" % nonce)
    words = lines.readline().split()
    assert words[:2] == [b"HD", b"O%d" % nonce], words
    epoch = bytes.fromhex(words[2][1:].decode())
    feeds = [w[1:].decode() for w in words[3:-1]]
    return epoch, feeds, [int(n) for n in words[-1][1:].split(b",")]


epoch, feeds, last = fence(1)
sub = zmq.Context().socket(zmq.SUB)
sub.rcvtimeo, sub.linger, sub.rcvhwm = 120_000, 0, 0
sub.subscribe(b"i")
sub.connect(feeds[0])

at = [None] * len(last)  # last number of each lane
seen = {}  # hash to names of operations
flushes = []
gaps = 0


def receive():
    global gaps
    topic, header, records = sub.recv_multipart()
    version, flags, lane, of, first, count = struct.unpack(">BBH16sQH", header)
    assert (version, flags, of) == (1, 0, epoch), header
    assert topic == b"i" + struct.pack(">H", lane), topic
    if at[lane] is not None and first != at[lane] + (count > 0):
        gaps += 1
    at[lane] = first + max(0, count - 1)
    pos = 0
    for _ in range(count):
        op, key = struct.unpack_from(">BQ", records, pos)
        pos += 9
        if op == 5:
            n = records[pos]
            prefix = records[pos + 1:pos + 1 + n].decode()
            pos += 1 + n
        if op < 4:
            seen.setdefault(key, []).append(OPS[op])
        elif lane == 0:
            flushes.append("prefix " + prefix if op == 5 else OPS[op])
    assert pos == len(records), (pos, records)


while None in at:
    receive()
print("joined", flush=True)

for nonce, line in enumerate(sys.stdin, 2):
    _, _, last = fence(nonce)
    while any(have < want for have, want in zip(at, last)):
        receive()
    keys = {k: seen.get(xxh64(k.encode()), []) for k in json.loads(line)}
    print(json.dumps({"keys": keys, "flushes": flushes, "gaps": gaps}), flush=True)
