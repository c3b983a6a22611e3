"""The chat API over HTTP: ``nexttoken serve``; `app.create_app` is the application, for an ASGI server of your own.

Needs the extra ``[server]``.
"""
