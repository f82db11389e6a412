"""An exception in a destructor."""


class Loader:
    def __del__(self):
        raise AttributeError("'Loader' object has no attribute '_workers'")


Loader()
print("step 5 loss 2.01")
