# docker build --build-arg VERSION=v1.2.3 --tag kommo-connect .
# docker build --target sandbox --tag kommo-sandbox .

# Any image with the Go that go.mod names and a shell.
ARG GO_IMAGE=golang:1.26
# The programs are static and need nothing beside them.
ARG RUNTIME_IMAGE=scratch

# It compiles on the builder's platform for the image's: docker buildx build --platform linux/amd64,linux/arm64 …
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
# What --version says: the tag, and the commit's time in RFC 3339.
ARG VERSION=unknown
ARG DATE=
# TAGS=core leaves out the components that talk to systems of their own; TAGS=elasticsearch_v9 takes
# that output in.
ARG TAGS=
ARG TARGETOS
ARG TARGETARCH
ENV CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -tags "${TAGS}" -buildvcs=false -ldflags "-s -w -X main.version=${VERSION} -X main.dateBuilt=${DATE}" -o /out/bin/ ./cmd/kommo-connect ./cmd/kommo-sandbox
# The runtime image has no shell to make folders and links with.
RUN mkdir -p /out/state /out/tmp /out/certs /out/root && cp /etc/ssl/certs/ca-certificates.crt /out/certs/ && \
    ln -s /usr/bin/kommo-connect /out/root/redpanda-connect

FROM ${RUNTIME_IMAGE} AS sandbox
COPY --from=build /out/bin/kommo-sandbox /usr/bin/kommo-sandbox
USER 65532:65532
EXPOSE 8480
ENTRYPOINT ["/usr/bin/kommo-sandbox"]
CMD ["--listen", "0.0.0.0:8480"]

FROM ${RUNTIME_IMAGE} AS kommo-connect
COPY --from=build /out/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/state /var/lib/kommo-connect
COPY --from=build /out/bin/kommo-connect /usr/bin/kommo-connect
# Redpanda's operator starts /redpanda-connect.
COPY --from=build /out/root/ /
COPY config /etc/kommo-connect/config
COPY examples /etc/kommo-connect/examples
WORKDIR /etc/kommo-connect
USER 65532:65532
# Checkpoints, of config/kommo-connect.yaml and of the examples.
ENV KOMMO_CHECKPOINT_CONFIG="directory: /var/lib/kommo-connect" \
    KOMMO_CHECKPOINT_DIR=/var/lib/kommo-connect
VOLUME ["/var/lib/kommo-connect"]
EXPOSE 4195
# The service of config/kommo-connect.yaml. For a pipeline without an HTTP address run the container with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["/usr/bin/kommo-connect", "run", "config/kommo-connect-health.yaml"]
ENTRYPOINT ["/usr/bin/kommo-connect"]
CMD ["run", "config/kommo-connect.yaml"]
