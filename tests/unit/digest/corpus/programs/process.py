"""An exception that ends a child process of multiprocessing."""
import multiprocessing


def work(n):
    raise RuntimeError(f"worker {n} cannot pin memory")


if __name__ == "__main__":
    p = multiprocessing.get_context("fork").Process(target=work, args=(3,))
    p.start()
    p.join()
    print("exit code", p.exitcode)
