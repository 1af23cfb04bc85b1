"""The simulator: audit feeds to try the product with, seeded and repeatable, with known numbers of every defect."""
