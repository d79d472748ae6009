"""One thread (two on a shared two-core machine were 60 to 100 times slower); Triton's interpreter without a GPU.

TRITON_INTERPRET is read when a kernel is decorated: it is set before anything of the package is imported.
"""

import os
import shutil

if shutil.which("nvidia-smi") is None and not os.path.exists("/dev/nvidiactl"):
    os.environ.setdefault("TRITON_INTERPRET", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    import torch
except ImportError:  # the tests that need torch skip themselves
    pass
else:
    torch.set_num_threads(1)
