"""The command `smysl`: parses arguments, calls one method of `Library`, prints.

`app.py` holds the commands of every day, one file each group of others. May import everything below it; `training`,
`eval` and `data` only inside a command, so that `smysl search` pays for nothing that it does not use.
"""
