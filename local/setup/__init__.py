"""What `make` calls before anything is installed: the environments, their locks, and a look at the machine.

Runs on any Python from 3.9 on with the standard library alone, so it imports nothing else of this project, and nothing
else imports it (tests aside).
"""
