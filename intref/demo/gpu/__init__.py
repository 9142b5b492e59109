"""A sample GPU device: integer kernels in Triton behind the py: adapter."""
