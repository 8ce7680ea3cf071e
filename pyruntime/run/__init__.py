"""DO: carries out the host lane of a plan, and drives init through its own."""
