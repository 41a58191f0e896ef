"""What a computation runs on: device, number format, memory, threads, processes."""
