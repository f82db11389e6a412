"""ring.py -- a collective of real processes over TCP, so that a peer's death is felt as in training.

Rank 0 listens at MASTER_PORT, the others connect; a step sends every rank's number to rank 0 and the
sum back. When a process is gone the others get what Python gives them: EOFError, ConnectionResetError,
BrokenPipeError.
"""
import os
import time
from multiprocessing.connection import Client, Listener

AUTH = b"corpus"


class Ring:
    def __init__(self, rank, world, deadline_s=6.0):
        self.rank, self.world, self.peers = rank, world, {}
        address = ("127.0.0.1", int(os.environ["MASTER_PORT"]))
        if world == 1:
            return
        if rank == 0:
            with Listener(address, backlog=world, authkey=AUTH) as listener:
                listener._listener._socket.settimeout(deadline_s)
                for _ in range(world - 1):
                    peer = listener.accept()
                    self.peers[peer.recv()] = peer
            return
        end = time.monotonic() + deadline_s
        while True:
            try:
                self.peers[0] = Client(address, authkey=AUTH)
                break
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.peers[0].send(rank)

    def all_reduce(self, value):
        if self.rank == 0:
            total = value
            for rank in sorted(self.peers):
                total += self.peers[rank].recv()
            for rank in sorted(self.peers):
                self.peers[rank].send(total)
            return total
        self.peers[0].send(value)
        return self.peers[0].recv()
