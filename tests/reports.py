"""tests/reports.py -- what sanitizers report while tests run: a folder for each file of tests, read after every test.

Every process that a test starts writes its reports there (log_path), whoever reads its standard error; so a joblogd that
reports fails the test that ran it, though the test itself saw nothing. A report halts the process. Leaks are looked for at
its ordinary end; a process that is killed is not asked.
"""
import asyncio
import glob
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPTIONS = {
    # handle_abort: a failed CHECK is a report, too. verify_asan_link_order: tests/fault/shim.c is preloaded before libasan.
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1:"
                    "handle_abort=1:verify_asan_link_order=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "LSAN_OPTIONS": "print_suppressions=0",
    # intercept_memmem: each call would mark all that may be searched, not what was: a search of a frame costs its square.
    "TSAN_OPTIONS": f"halt_on_error=1:intercept_memmem=0:handle_abort=1:second_deadlock_stack=1:suppressions={ROOT}/tests/tsan.supp",
}
FOLDER = "TEST_REPORTS"  # the variable that names the folder


def environment(folder):
    """Variables for what runs with its reports in folder; options the caller has set come last and win."""
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(os.path.join(folder, "*")):
        os.unlink(old)
    more = {k: f"{v}:log_path={folder}/report" + (f":{os.environ[k]}" if k in os.environ else "") for k, v in OPTIONS.items()}
    return {**more, FOLDER: folder}


def valgrind(folder):
    """The words before a program that valgrind is to watch: reads of memory never written or given back, and lost blocks."""
    return ["valgrind", "-q", "--fair-sched=yes", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite", "--error-exitcode=99",
            f"--suppressions={ROOT}/tests/valgrind.supp", f"--log-file={folder}/report.%p"]


def take(folder):
    """The text of the reports that nobody has taken yet, "" when there is none. Read ones stay as *.told."""
    text = ""
    for path in sorted(glob.glob(os.path.join(folder, "report.*"))) if folder else []:
        if not path.endswith(".told"):
            os.rename(path, path + ".told")
            with open(path + ".told", errors="replace") as f:
                said = f.read(20000)
            text += f"{path}.told:\n{said}\n" if said.strip() else ""  # valgrind leaves an empty file when it has nothing to say
    return text


def stretch(patience):
    """A sanitized program is 5 to 15 times slower: deadlines of children and of coroutines are so many times longer."""
    wait, communicate, wait_for = subprocess.Popen.wait, subprocess.Popen.communicate, asyncio.wait_for

    def longer(seconds):
        return seconds and seconds * patience

    subprocess.Popen.wait = lambda self, timeout=None: wait(self, longer(timeout))
    subprocess.Popen.communicate = lambda self, input=None, timeout=None: communicate(self, input, longer(timeout))
    asyncio.wait_for = lambda what, timeout, **kw: wait_for(what, longer(timeout), **kw)
