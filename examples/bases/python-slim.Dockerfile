# What python:3.11-slim offers, from Debian's own Python 3.11: python, python3, pip, no compiler.
FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends adduser ca-certificates netbase python3 python3-pip && \
    rm -rf /var/lib/apt/lists/* /usr/lib/python3.11/EXTERNALLY-MANAGED && \
    ln -s python3 /usr/bin/python
ENV LANG=C.UTF-8 PYTHON_VERSION=3.11
CMD ["python3"]
