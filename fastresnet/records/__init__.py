"""What is kept of a run, whole or not at all: records, stores of them, files. Free of torch."""
