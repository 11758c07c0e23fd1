"""The tasks of the DAGs, their operator, and the calls to Google's services and to the function `fetch_archive`."""
