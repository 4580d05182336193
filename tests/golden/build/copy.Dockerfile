FROM scratch
ENV DIR=/d WHO=app
COPY a b $DIR/
COPY --chown=$WHO:$WHO --chmod=0755 --link x /x
COPY --parents --exclude=*.md src/./lib /lib
ADD https://example.org/f.tar.gz /f/
COPY <<one <<"two" $DIR/
text $WHO
one
text $WHO
two
RUN <<EOF
echo one
echo two
EOF
RUN <<'PY'
#!/usr/bin/env python3
print("hi")
PY
RUN cat <<A && echo done
body
A
