# The images of Linnet: one static executable each and the certificates to trust, nothing else.
#
#   docker build --target gateway  --tag linnet-gateway:dev  .      everything from source
#   docker build --target operator --tag linnet-operator:dev .
#   docker build --target outbox   --tag linnet-outbox:dev   .
#   make images                     the stages runtime-…, with executables that cargo built on this machine
#
# The runtime stages come first: a builder that knows no unused stages then never starts the build stage for them.

ARG RUST_VERSION=1.95

# ------------------------------------------------------------------------------------------------ what both images are

FROM scratch AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="Linnet" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV PATH=/
USER 65532:65532

FROM base AS gateway-base
LABEL org.opencontainers.image.title="linnet-gateway" \
      org.opencontainers.image.description="The data plane of Linnet: WebSocket gateways over NATS"
EXPOSE 8080 9090
ENTRYPOINT ["/linnet-gateway"]

FROM base AS operator-base
LABEL org.opencontainers.image.title="linnet-operator" \
      org.opencontainers.image.description="The controller of Linnet: turns a RealtimeChannel into a fleet of gateways"
EXPOSE 8081
ENTRYPOINT ["/linnet-operator"]
CMD ["run"]

FROM base AS outbox-base
LABEL org.opencontainers.image.title="linnet-outbox" \
      org.opencontainers.image.description="Publishes what services have committed to a table of PostgreSQL"
EXPOSE 8082
ENTRYPOINT ["/linnet-outbox"]
CMD ["run"]

# -------------------------------------------------------------- from executables that lie in the context's first folder

FROM gateway-base AS runtime-gateway
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY linnet-gateway /linnet-gateway

FROM operator-base AS runtime-operator
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY linnet-operator /linnet-operator

# ---------------------------------------------------------------------------------------------------------- from source

FROM docker.io/library/rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY . .
# Linked with everything, glibc too, so that `FROM scratch` suffices. The explicit target keeps the flag off build scripts.
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
 && RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --profile image --target "$target" \
      --package linnet-gateway --package linnet-operator --package linnet-outbox \
      --bins --example products \
 && mkdir /out \
 && strip --strip-all -o /out/linnet-gateway "target/$target/image/linnet-gateway" \
 && strip --strip-all -o /out/linnet-operator "target/$target/image/linnet-operator" \
 && strip --strip-all -o /out/linnet-outbox "target/$target/image/linnet-outbox" \
 && strip --strip-all -o /out/products "target/$target/image/examples/products"

FROM operator-base AS operator
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/linnet-operator /linnet-operator

FROM outbox-base AS outbox
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/linnet-outbox /linnet-outbox

# examples/products
FROM base AS products
COPY --from=build /out/products /products
EXPOSE 8090
ENTRYPOINT ["/products"]

FROM gateway-base AS gateway
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/linnet-gateway /linnet-gateway
