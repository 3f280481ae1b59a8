"""How much of the machine a process uses: cores, BLAS threads, memory. Imports nothing else of smysl."""
