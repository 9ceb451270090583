# The image of Model Manager: `make image` builds both of its targets.
#   full  the default: with llama.cpp, so that it serves models on CPUs by itself, or as KServe's runtime `llama-cpp`
#   slim  without any engine: for clusters where other runtimes serve
# An index or an authority of your own: secrets `pip-conf` (a pip.conf) and `pip-ca` (PEM; pip.conf: cert = /run/secrets/pip-ca).
# They are there while pip runs, and in no layer.

ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS system
# git reads catalogs and ssh fetches those with ssh addresses. Bytecode is made anew so that its validity does not
# hang on the time of a file, which builds rewrite: the root file system is read-only, so what is stale stays so. (`-B`:
# the compiler's own modules would else be written the other way first.)
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client python3 \
 && find /usr/lib/python3* -name __pycache__ -prune -exec rm -r {} + \
 && python3 -B -m compileall -qf --invalidation-mode unchecked-hash /usr/lib/python3.13 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/cache/ldconfig/* /var/log/* /var/lib/dpkg/*-old

FROM system AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_DEPS=1 PIP_QUIET=1 PIP_ONLY_BINARY=:all:
COPY requirements/image*.txt requirements/
RUN --mount=type=secret,id=pip-conf,target=/etc/pip.conf --mount=type=secret,id=pip-ca \
    python3 -m venv tools \
 && tools/bin/pip install --require-hashes -r requirements/image-build.txt \
 && python3 -m venv --without-pip /opt/model-manager \
 && tools/bin/pip --python /opt/model-manager install --no-compile --require-hashes -r requirements/image.txt
COPY . .
RUN tools/bin/hatchling build -t wheel \
 && tools/bin/pip --python /opt/model-manager install --no-compile --no-index dist/*.whl \
 && python3 -B -m compileall -qf --invalidation-mode unchecked-hash /opt/model-manager/lib

FROM build AS engine
RUN --mount=type=secret,id=pip-conf,target=/etc/pip.conf --mount=type=secret,id=pip-ca \
    tools/bin/pip install --no-compile --require-hashes --target /engine -r requirements/image-engine.txt \
 && python3 -B -m compileall -qf --invalidation-mode unchecked-hash /engine

FROM system AS slim
# Files, not useradd: it would write the day of the build into /etc/shadow. The user owns the two folders that are written to,
# so that volumes which Docker makes there are its own.
RUN echo 'model-manager:x:65532:65532::/app:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'model-manager:x:65532:' >> /etc/group \
 && install -d -o 65532 -g 65532 /app/state /mnt/models
COPY --from=build /opt/model-manager /opt/model-manager
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Model Manager" \
      org.opencontainers.image.description="Decides which AI model is being served, and makes it so" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/model-manager/bin:/usr/local/bin:/usr/bin:/bin STATE_PATH=/app/state
USER 65532:65532
WORKDIR /app
EXPOSE 8080
ENTRYPOINT ["model-manager"]
# A container's loopback is nobody else's. Beyond loopback the service refuses to start without a token, and says so.
CMD ["serve", "--host", "0.0.0.0"]

FROM slim AS full
USER root
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/cache/ldconfig/* /var/log/* /var/lib/dpkg/*-old
USER 65532:65532
COPY --from=engine /engine /opt/model-manager/lib/python3.13/site-packages
