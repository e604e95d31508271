"""Publishers and consumers of numbered publications, in the formats of vLLM's
KV-cache events and of Bitcoin Core's notifications, driven by JSON on stdin.

The publisher has the thread that vLLM's has: it serves a replay whole, before
the next command, and its ROUTER drops silently at the high-water mark.
"""

import json
import struct
import sys
from collections import deque

import zmq

PATIENCE = 60_000
END = b"\xff" * 8

ctx = zmq.Context()


def say(**reply):
    print(json.dumps(reply), flush=True)


def bind(kind, **options):
    s = ctx.socket(kind)
    s.linger = 0
    for name, value in options.items():
        setattr(s, name, value)
    return s, "tcp://127.0.0.1:%d" % s.bind_to_random_port("tcp://127.0.0.1")


class Publisher:
    """A vLLM publisher: mode is vllm, vllm-notopic or vllm-epoch."""

    def __init__(self, mode, steps, hwm):
        self.mode = mode
        self.pub, live = bind(zmq.XPUB, xpub_verbose=1)
        self.router, replay = bind(zmq.ROUTER, sndhwm=hwm)
        self.rep, snapshots = bind(zmq.REP)
        self.buffer = deque(maxlen=steps)
        self.seq = 0
        self.epoch = bytes(range(16))
        self.ignored = 0
        say(live=live, control=replay, snapshots=snapshots)

    def head(self, seq):
        b = struct.pack(">Q", seq)
        return b + self.epoch if self.mode == "vllm-epoch" else b

    def publish(self, payload, send=True):
        self.buffer.append((self.seq, payload))
        if send:
            self.pub.send_multipart([b"kv", self.head(self.seq), payload])
        self.seq += 1

    def serve_replay(self):
        frames = self.router.recv_multipart()
        if len(frames) != 3 or frames[1] != b"":
            self.ignored += 1
            return
        peer, _, start = frames
        start = int.from_bytes(start, "big")
        topic = [] if self.mode == "vllm-notopic" else [b"kv"]
        for seq, payload in list(self.buffer):
            if seq >= start:
                self.router.send_multipart([peer, b"", *topic, struct.pack(">Q", seq), payload])
        end = [] if self.mode == "vllm-notopic" else [b""]
        self.router.send_multipart([peer, b"", *end, END, b""])

    def serve_snapshot(self):
        self.rep.recv()
        self.rep.send_multipart([struct.pack(">q", self.seq - 1), self.epoch, b"all", b"of it"])

    def run(self):
        poller = zmq.Poller()
        for s in (self.pub, self.router, self.rep, sys.stdin):
            poller.register(s, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(PATIENCE))
            if self.pub in ready:
                frame = self.pub.recv()
                if frame[:1] == b"\x01":
                    say(subscribed=True)
            if self.router in ready:
                self.serve_replay()
            if self.rep in ready:
                self.serve_snapshot()
            if sys.stdin.fileno() in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                r = json.loads(line)
                # The first "lose" of the n messages are lost. No replay can be
                # served between them.
                for i in range(r.get("n", 0)):
                    self.publish(b"%d" % (self.seq + 1), send=i >= r.get("lose", 0))
                if r.get("restart"):
                    self.seq = 0
                    self.buffer.clear()
                    self.epoch = bytes(reversed(self.epoch))
                say(seq=self.seq, ignored=self.ignored)


def consume(r):
    """Subscribes, and asks for a replay from r["start"] with r["kind"]."""
    sub = ctx.socket(zmq.SUB)
    sub.linger, sub.rcvtimeo = 0, PATIENCE
    sub.subscribe(r.get("topic", ""))
    sub.connect(r["live"])
    say(ready=True)
    live = [sub.recv_multipart() for _ in range(r["n"])]
    replay = []
    if r.get("control"):
        ask = ctx.socket(getattr(zmq, r["kind"]))
        ask.linger, ask.rcvtimeo = 0, PATIENCE
        ask.connect(r["control"])
        start = struct.pack(">Q", r["start"])
        ask.send_multipart([start] if r["kind"] == "REQ" else [b"", start])
        while True:
            frames = ask.recv_multipart()
            if r["kind"] == "DEALER":
                assert frames.pop(0) == b""
            replay.append(frames)
            if frames[-2] == END or r["kind"] == "REQ":
                break
    say(live=[[f.hex() for f in m] for m in live], replay=[[f.hex() for f in m] for m in replay])


def bitcoin():
    """Publishes [topic, body, sequence], a JSON line each."""
    pub, live = bind(zmq.XPUB, xpub_verbose=1)
    say(live=live)
    pub.recv()
    say(subscribed=True)
    for line in sys.stdin:
        r = json.loads(line)
        pub.send_multipart([r["topic"].encode(), r["body"].encode(), struct.pack("<I", r["seq"])])
        say(ok=True)


start = json.loads(sys.stdin.readline())
if start["role"] == "publish":
    Publisher(start["mode"], start.get("steps", 10_000), start.get("hwm", 1000)).run()
elif start["role"] == "bitcoin":
    bitcoin()
else:
    consume(start)
