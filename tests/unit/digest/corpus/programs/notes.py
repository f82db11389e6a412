"""A message of several lines, one of them indented, and a note (PEP 678)."""


def load():
    error = RuntimeError("Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: \"head.weight\".")
    error.add_note("  checkpoint: step 4000")
    raise error


load()
