"""logging.exception between ordinary lines: the logger's line is the head of its traceback."""
import logging

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
log = logging.getLogger("train")


def fetch(n):
    if n % 2:
        raise ConnectionResetError(104, "Connection reset by peer")
    return n


for n in range(4):
    try:
        fetch(n)
        log.info("batch %d fetched", n)
    except ConnectionResetError:
        log.exception("batch %d failed, trying again", n)
log.error("giving up on batch 3")
log.info("step=4 loss=2.25")
