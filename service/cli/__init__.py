"""The command `smysl`: parses arguments, calls one method of `Library`, prints the result.

`app.py` lists the commands, each other file holds one or a group of them. May import everything below it; `training`,
`eval` and `data` only inside a command, so that `smysl search` does not load what it does not use.
"""
