"""joblog -- the log of a training job, live and for ever: from Python, with nothing but the standard library.

    import joblog, logging
    logging.getLogger().addHandler(joblog.Handler("demo"))     # send
    with joblog.run("demo"): train()                           # send, and say how it ended
    for record in joblog.tail("demo"): print(record.msg)       # follow
    for record in joblog.logs("demo", level="error"): …        # read

Where the server is: JOBLOG_URL (default http://127.0.0.1:8000), JOBLOG_TOKEN, JOBLOG_PROJECT, JOBLOG_CACERT, or arguments.
"""
from ._handler import Handler, Stats
from ._place import detect_job, detect_rank, detect_ranks
from ._records import Record, Verdict
from ._run import Run, resume, run
from ._tail import Gap, Tail, logs, tail
from .errors import Incomplete, JobDeleted, JoblogError, ServerError, Unreachable

__version__ = "0.1.0"
__all__ = ["Gap", "Handler", "Incomplete", "JobDeleted", "JoblogError", "Record", "Run", "ServerError", "Stats", "Tail", "Unreachable",
           "Verdict", "detect_job", "detect_rank", "detect_ranks", "logs", "resume", "run", "tail"]
