"""An exception that ends a thread; the program goes on."""
import threading


def feed():
    raise OSError(28, "No space left on device", "/data/cache/part-0007.bin")


t = threading.Thread(target=feed, name="feeder")
t.start()
t.join()
print("step 2 loss 2.20")
