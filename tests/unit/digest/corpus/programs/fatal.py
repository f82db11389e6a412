"""faulthandler on SIGSEGV, with a second thread."""
import ctypes
import faulthandler
import resource
import threading
import time

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
faulthandler.enable()
threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
print("step 3 loss 2.11", flush=True)
ctypes.string_at(0)
