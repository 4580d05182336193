# What python:3.11 offers: a compiler, headers and the usual tools beside Python.
FROM debian:bookworm
RUN apt-get update && \
    apt-get install -y --no-install-recommends adduser build-essential ca-certificates curl git libbz2-dev libffi-dev liblzma-dev libpq-dev \
        libsqlite3-dev libssl-dev netbase pkg-config python3 python3-dev python3-pip python3-venv unzip wget zlib1g-dev && \
    rm -rf /var/lib/apt/lists/* /usr/lib/python3.11/EXTERNALLY-MANAGED && \
    ln -s python3 /usr/bin/python
ENV LANG=C.UTF-8 PYTHON_VERSION=3.11
CMD ["python3"]
