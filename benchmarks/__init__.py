"""What is measured, with one command: `make bench` for minutes, `make bench-full` for everything."""
