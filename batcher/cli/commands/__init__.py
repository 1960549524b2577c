"""Every command, in a file or a folder of its name; in a folder the command itself is `command.py`.

Rule: what two commands use stands in the folder of the one whose business it is.
"""
