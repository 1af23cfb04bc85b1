"""Every setting of the product, read here and nowhere else."""
