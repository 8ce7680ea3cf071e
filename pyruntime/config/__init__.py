"""WHAT: reads a bundle's config.json and says whether, and why not, it can be run. Touches nothing else."""
