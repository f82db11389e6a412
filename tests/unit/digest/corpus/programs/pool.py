"""An exception in a process pool: the remote traceback comes first, in quotes."""
import concurrent.futures
import multiprocessing


def work(n):
    if n == 2:
        raise ValueError("negative length in sample 2")
    return n


if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        print(list(pool.map(work, range(4))))
