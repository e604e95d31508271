"""Prints jobs of a queue, with up to 16 on their way: prefetch.py ENDPOINT"""
import sys, time, zmq

socket = zmq.Context().socket(zmq.DEALER)
socket.setsockopt(zmq.LINGER, 0)
socket.connect(sys.argv[1])
beat = 0
while True:
    if time.monotonic() > beat:  # the heartbeat; work longer than a second sends it too
        socket.send_multipart([b"", b"READY", b"16"])
        beat = time.monotonic() + 1
    if socket.poll(1000):
        _, token, n, *body = socket.recv_multipart()
        if token != b"NO":
            print(b"|".join(body).decode(), flush=True)  # the work
            socket.send_multipart([b"", b"ACK", token])
