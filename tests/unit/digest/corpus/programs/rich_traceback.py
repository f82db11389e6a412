"""A traceback drawn by rich (pip install rich)."""
from rich.traceback import install

install(width=90)


def scale(x):
    return x / 0


def train():
    return scale(3)


train()
