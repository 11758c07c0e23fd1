"""Input and output that several deployables share; each file wraps one third-party library, an extra of the wheel.

A deployable imports the files whose library it installs. The core and the DAGs import none of them.
"""
