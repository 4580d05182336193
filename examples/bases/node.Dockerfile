# What node:20-slim offers, from Debian 13's own Node.js and npm, with the user 'node' that Dockerfiles for it expect.
FROM debian:trixie-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates nodejs npm && \
    rm -rf /var/lib/apt/lists/* && \
    groupadd --gid 1000 node && \
    useradd --uid 1000 --gid node --shell /bin/bash --create-home node
CMD ["node"]
