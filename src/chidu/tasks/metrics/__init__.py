"""The metrics, one small file each: answers and references in, a `Metric` out; by a library where there is one."""
