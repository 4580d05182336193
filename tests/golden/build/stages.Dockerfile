FROM scratch AS one
ARG A=1
ENV E=$A
CMD ["one"]
ONBUILD RUN x
FROM one AS two
RUN two
ENTRYPOINT ["/two"]
FROM two
CMD ["three"]
ENTRYPOINT ["/three"]
