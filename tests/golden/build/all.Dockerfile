FROM scratch
MAINTAINER Someone <me@example.org>
ENV A=1 B="two words"
ENV A=changed
LABEL b=2 a="x y"
LABEL b=3
EXPOSE 80 53/udp 7000-7002
EXPOSE 80
VOLUME /data ["/more"]
USER app:staff
WORKDIR /w
WORKDIR sub/../other
WORKDIR /
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=1m30s --start-period=2h --retries=3 CMD curl -f "http://x/" || exit 1
HEALTHCHECK NONE
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN make
RUN ["make", "in stall"]
ONBUILD RUN later
ONBUILD COPY . /src
CMD echo "hi	there"
ENTRYPOINT ["/e", "a\"b", "grüße"]
