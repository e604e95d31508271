"""Prints jobs of a queue, one at a time: worker.py ENDPOINT"""
import sys, zmq

socket = zmq.Context().socket(zmq.REQ)
for option, value in (zmq.REQ_RELAXED, 1), (zmq.REQ_CORRELATE, 1), (zmq.RCVTIMEO, 5000), (zmq.LINGER, 0):
    socket.setsockopt(option, value)
socket.connect(sys.argv[1])
request = [b"NEXT"]
while True:
    try:
        socket.send_multipart(request)
        token, n, *body = socket.recv_multipart()
    except zmq.Again:  # no job, or no bridge
        token = b"NO"
    if token == b"NO":  # also: the acknowledgement came too late
        request = [b"NEXT"]
        continue
    print(b"|".join(body).decode(), flush=True)  # the work
    request = [b"ACK", token]
