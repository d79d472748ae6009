"""Text kernels: numba functions over Arrow buffers, each beside a slow plain-Python reference."""
