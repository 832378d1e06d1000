# The images of Linnet and of its examples: one static executable each and the certificates to trust, nothing else.
#
#   docker build --target gateway  --tag linnet-gateway:dev  .      everything from source
#   docker build --target operator --tag linnet-operator:dev .
#   docker build --target outbox   --tag linnet-outbox:dev   .
#   docker build --target products --tag linnet-products:dev .                  examples/products
#   docker build --target microservices --tag linnet-microservices:dev .        examples/microservices
#   docker build --target users    --tag linnet-users:dev    .                  examples/users
#   make images                     the stages runtime-…, with executables that cargo built on this machine
#
# The runtime stages come first: a builder that knows no unused stages then never starts the build stage for them.

ARG RUST_VERSION=1.95

# ----------------------------------------------------------------------------------------------- what all images are

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

FROM base AS products-base
LABEL org.opencontainers.image.title="linnet-products" \
      org.opencontainers.image.description="An example: a shop's products over REST, whose changes all pages see"
EXPOSE 8090
ENTRYPOINT ["/products"]

FROM base AS microservices-base
LABEL org.opencontainers.image.title="linnet-microservices" \
      org.opencontainers.image.description="An example: a worker that takes a restaurant's orders"
ENTRYPOINT ["/counter"]

FROM base AS users-base
LABEL org.opencontainers.image.title="linnet-users" \
      org.opencontainers.image.description="An example: users over gRPC, whose changes a room gets"
EXPOSE 50051
ENTRYPOINT ["/users"]

# -------------------------------------------------------------- from executables that lie in the context's first folder

FROM gateway-base AS runtime-gateway
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY linnet-gateway /linnet-gateway

FROM operator-base AS runtime-operator
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY linnet-operator /linnet-operator

FROM outbox-base AS runtime-outbox
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY linnet-outbox /linnet-outbox

FROM products-base AS runtime-products
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY products /products

FROM microservices-base AS runtime-microservices
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY counter /counter

FROM users-base AS runtime-users
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY users /users

# ---------------------------------------------------------------------------------------------------------- from source

FROM docker.io/library/rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY . .
# Linked with everything, glibc too, so that `FROM scratch` suffices. The explicit target keeps the flag off build scripts.
# Examples are built apart: with them cargo would give all executables what only tests need of a crate.
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
 && export RUSTFLAGS='-C target-feature=+crt-static' \
 && cargo build --locked --profile image --target "$target" \
      --package linnet-gateway --package linnet-operator --package linnet-outbox --bins \
 && cargo build --locked --profile image --target "$target" \
      --package linnet-outbox --package linnet-worker --package linnet-proto \
      --example products --example counter --example users \
 && mkdir /out \
 && cd "target/$target/image" \
 && for executable in linnet-gateway linnet-operator linnet-outbox examples/products examples/counter examples/users; do \
      strip --strip-all -o "/out/${executable##*/}" "$executable" || exit 1; \
    done

FROM operator-base AS operator
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/linnet-operator /linnet-operator

FROM outbox-base AS outbox
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/linnet-outbox /linnet-outbox

FROM products-base AS products
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/products /products

FROM microservices-base AS microservices
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/counter /counter

FROM users-base AS users
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/users /users

FROM gateway-base AS gateway
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/linnet-gateway /linnet-gateway
