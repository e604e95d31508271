"""Puts each line of standard input into a queue: producer.py ENDPOINT"""
import sys, uuid, zmq

socket = zmq.Context().socket(zmq.REQ)
for option, value in (zmq.REQ_RELAXED, 1), (zmq.REQ_CORRELATE, 1), (zmq.RCVTIMEO, 5000), (zmq.LINGER, 0):
    socket.setsockopt(option, value)
socket.connect(sys.argv[1])
for line in sys.stdin.buffer:
    put, reply = [b"ID", uuid.uuid4().bytes, line.rstrip(b"\n")], []
    while reply[:1] not in ([b"OK"], [b"DUP"]):  # repeated with the same id, it is stored once
        try:
            socket.send_multipart(put)
            reply = socket.recv_multipart()
        except zmq.Again:  # no answer: the bridge is being restarted
            pass
