"""The service: uploads, history, gates and people's access to them. It calls the pipeline like any other user.

Everything here but ``client`` needs the extra ``fwcheck[service]``; commands import it when they run.
"""
