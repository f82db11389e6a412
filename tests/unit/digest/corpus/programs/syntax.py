"""A SyntaxError in the program itself: no traceback in front."""
import os
import sys
import tempfile

with tempfile.TemporaryDirectory() as d:
    path = os.path.join(d, "broken.py")
    with open(path, "w") as f:
        f.write("import os\n\ndef train(:\n    pass\n")
    sys.stdout.flush()
    os.system(f"{sys.executable} {path}")
print("step 1 loss 2.31")
