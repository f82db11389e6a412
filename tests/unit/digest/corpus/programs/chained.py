"""An exception while another is handled, and one that is caused by another."""
import sys


def parse(text):
    return int(text)


def load(text):
    try:
        return parse(text)
    except ValueError:
        return {}["fallback"]


def run():
    try:
        load("twelve")
    except KeyError as error:
        raise RuntimeError("cannot load the configuration") from error


print("step 1 loss 2.31", flush=True)
run()
