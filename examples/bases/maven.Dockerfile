# What maven:3-eclipse-temurin-21 offers, from Debian 13's own OpenJDK 21 and Maven.
FROM debian:trixie-slim
RUN mkdir -p /usr/share/man/man1 && \
    apt-get update && \
    apt-get install -y --no-install-recommends binutils ca-certificates maven openjdk-21-jdk-headless && \
    rm -rf /var/lib/apt/lists/* && \
    ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/javac)")")" /opt/java
ENV JAVA_HOME=/opt/java MAVEN_CONFIG=/root/.m2
CMD ["mvn"]
