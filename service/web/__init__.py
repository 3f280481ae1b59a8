"""The HTTP service and its page: routes, request limits, background indexing, worker processes.

Thin: a route checks its parameters, calls one method of `Library` and shapes the answer. May import `library` and what
is below it.
"""
