"""What a container gets beyond its config: GPUs, and devices that CDI files describe. Config in, config out."""
