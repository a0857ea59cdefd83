# gauntlet as an image:
#
#   docker build --build-arg GAUNTLET_COMMIT=$(git rev-parse --short HEAD) -t gauntlet .
#   docker run --rm gauntlet run
#
# Both images are yours to choose; the second needs the C library of the first, or a newer one, and a shell with the
# usual programs: on the embedded target a sandbox's terminal is a shell of the image.
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG BASE_IMAGE=debian:trixie-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY . .
ARG GAUNTLET_COMMIT
# As `make dist` builds it: without `gauntlet load --http-users`. An empty value puts that in.
ARG FEATURES=--no-default-features
RUN cargo build --locked --profile dist ${FEATURES}

FROM ${BASE_IMAGE}
# The authorities that sign the certificates of public doors; further ones are given by `--ca`.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/dist/gauntlet /usr/local/bin/gauntlet
COPY --from=build /build/profiles /usr/share/gauntlet/profiles
COPY --from=build /build/scenarios /usr/share/gauntlet/scenarios
WORKDIR /work
RUN chown 65532:65532 /work
USER 65532:65532
ENV HOME=/work
ENTRYPOINT ["gauntlet"]
CMD ["--help"]
