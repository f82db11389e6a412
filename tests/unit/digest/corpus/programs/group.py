"""An exception group with nested members (Python 3.11)."""


def check(n):
    raise ValueError(f"shard {n} is empty")


def run():
    errors = []
    for n in (3, 7):
        try:
            check(n)
        except ValueError as error:
            errors.append(error)
    try:
        raise ExceptionGroup("2 shards failed", errors)
    except ExceptionGroup as inner:
        raise ExceptionGroup("loading failed", [inner, TypeError("no schema")])


run()
