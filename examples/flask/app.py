"""The case study: a small web service with Flask, served by Gunicorn."""
import os
import platform

from flask import Flask, jsonify

VERSION = "1.0.0"

app = Flask(__name__)


@app.get("/")
def index():
    return f"Hello from mica, version {VERSION}\n"


@app.get("/healthz")
def healthz():
    return jsonify(status="ok", version=VERSION)


@app.get("/about")
def about():
    return jsonify(python=platform.python_version(), uid=os.getuid(), pid=os.getpid())
