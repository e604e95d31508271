"""Plays one role of `lintel demo pi` with pyzmq.

usage: pirole.py ROLE COUNT PUBSUB REQREP PUSHPULL

ROLE is bitsource, always-yes, judge, pythagoras or tally. It ends after COUNT
messages, or never if COUNT is 0, and then says what it did. The endpoints are
those of lintel; a role leaves those alone that it has no use for.
"""

import random
import sys
import time

import zmq

UNIT = 2**64  # the square of the radius: n and m have 32 bits each


def bind(kind, endpoint):
    socket = zmq.Context.instance().socket(kind)
    socket.bind(endpoint)
    print("binds", socket.last_endpoint.decode().rstrip("\0"), flush=True)
    return socket


def connect(kind, endpoint, *topics):
    socket = zmq.Context.instance().socket(kind)
    for topic in topics:
        socket.subscribe(topic)
    socket.connect(endpoint)
    return socket


def bitsource(turns, pubsub, reqrep, pushpull):
    points = bind(zmq.PUB, pubsub)
    for _ in turns:
        points.send_string(format(random.getrandbits(64), "064b"))
        time.sleep(0.001)


def always_yes(turns, pubsub, reqrep, pushpull):
    verdicts = connect(zmq.PUSH, pushpull)
    points = connect(zmq.SUB, pubsub, "00")
    for _ in turns:
        points.recv_string()
        verdicts.send_string("Y")


def judge(turns, pubsub, reqrep, pushpull):
    verdicts = connect(zmq.PUSH, pushpull)
    squares = connect(zmq.REQ, reqrep)
    points = connect(zmq.SUB, pubsub, "01", "10", "11")
    inside = 0
    for _ in turns:
        bits = points.recv_string()
        squares.send_json([int(bits[0::2], 2), int(bits[1::2], 2)])
        yes = squares.recv_json() < UNIT
        inside += yes
        verdicts.send_string("Y" if yes else "N")
    print("inside", inside, flush=True)


def pythagoras(turns, pubsub, reqrep, pushpull):
    questions = bind(zmq.REP, reqrep)
    for _ in turns:
        questions.send_json(sum(n * n for n in questions.recv_json()))


def tally(turns, pubsub, reqrep, pushpull):
    verdicts = bind(zmq.PULL, pushpull)
    counts = {"Y": 0, "N": 0}
    for _ in turns:
        counts[verdicts.recv_string()] += 1
    print("pi", 4 * counts["Y"] / sum(counts.values()), flush=True)


def main():
    role, count, *endpoints = sys.argv[1:]
    turns = range(int(count)) if int(count) else iter(int, 1)
    {
        "bitsource": bitsource,
        "always-yes": always_yes,
        "judge": judge,
        "pythagoras": pythagoras,
        "tally": tally,
    }[role](turns, *endpoints)


main()
