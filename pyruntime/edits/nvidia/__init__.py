"""NVIDIA's GPUs and the libraries of their driver, with nothing but the driver on the host.

    config ──▶ request ─▶ what is asked for ─┐
                                             select ─▶ edits, in the form of CDI and a little more
    host ────▶ driver ──▶ what there is ─────┘

Nothing here changes anything: files of the host are read, and none of the container's is executed.
"""
