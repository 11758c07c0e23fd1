"""Input and output that several deployables share; a file wraps at most one third-party library, an extra of the wheel.

A deployable may import the files whose library its requirements list. The core imports none of them.
"""
