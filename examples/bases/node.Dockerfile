# What node offers, from Debian's own Node.js and npm.
FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates git nodejs npm && \
    rm -rf /var/lib/apt/lists/*
CMD ["node"]
