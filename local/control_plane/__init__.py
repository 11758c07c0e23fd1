"""A stand-in for Google Cloud's control plane, to which the real Terraform provider applies on one machine.

It is made from Google's API discovery documents, which the package google-api-python-client carries. Imported by tests;
`python -m local.control_plane` serves it as an HTTPS proxy. The README lists what it does not check.
"""
