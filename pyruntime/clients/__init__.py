"""The configuration files of the programs that call runtimes: how pyruntime is entered there, and taken out.

A client is a module that works on text alone: find() says what a text has of pyruntime, add() enters it, remove() takes
it out. json_text.py and toml_text.py change single members of a text and leave every other byte as it is; files.py
reads and writes. Nothing here prints.
"""
