"""Ranks of mpirun --tag-output: one fails, between the lines of the others."""
import os
import sys
import time

rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
for step in range(3):
    print(f"step {step} loss {2.0 - step / 10}", flush=True)
    time.sleep(0.05)
if rank == 1:
    def fail():
        raise MemoryError("rank 1 cannot allocate 4096 MiB")
    fail()
time.sleep(1)
