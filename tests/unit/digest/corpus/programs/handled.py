"""traceback.print_exc and then ordinary output, print_stack without an error."""
import sys
import traceback


def work(n):
    return 10 / n


for n in (1, 0, 2):
    try:
        print(f"step {n} loss {work(n)}", flush=True)
    except ZeroDivisionError:
        traceback.print_exc()
    sys.stderr.flush()
print("epoch 1 done", flush=True)
traceback.print_stack()
print("bye", flush=True)
