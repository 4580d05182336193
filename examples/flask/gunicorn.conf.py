"""Gunicorn's settings; PORT and WORKERS come from the environment."""
import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WORKERS", "1"))
worker_tmp_dir = "/dev/shm"  # the heartbeat file belongs in memory
accesslog = "-"
