"""Input and output that several deployables share; each file wraps one third-party library, an extra of the wheel.

A deployable may import the files whose library its requirements list. The core and the DAGs import none of them.
"""
