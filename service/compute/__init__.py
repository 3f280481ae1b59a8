"""What this process may use of the machine: cores, BLAS threads, memory. Imports nothing of smysl."""
