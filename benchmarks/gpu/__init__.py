"""A step on a GPU beside others: `make gpu-check-bench`, on a machine that has one."""
