# One image for AWS Lambda (each function), AWS Fargate and plain containers (the command line).
# See image/entrypoint.sh for how it chooses, docs/LOCAL.md for what of it has been tried.

# Amazon Linux 2023: the glibc that Lambda has, 2.34, for what is built and for what runs.
ARG AMAZON_LINUX=public.ecr.aws/amazonlinux/amazonlinux:2023.9.20250929.0

FROM ${AMAZON_LINUX} AS build
ARG TARGETARCH
ARG RUST_VERSION=1.95.0
ARG RUSTUP_VERSION=1.28.2
ARG RUSTUP_SHA256_AMD64=20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c
ARG RUSTUP_SHA256_ARM64=e3853c5a252fca15252d07cb23a1bdd9377a8c6f3efa01531109281ae47f841c
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# The image's date pins the versions of its packages: the repositories of Amazon Linux 2023 are versioned.
# hadolint ignore=DL3041
RUN dnf install -y binutils findutils gcc gzip make python3 python3-pip tar util-linux-core && dnf clean all

WORKDIR /tmp/rustup
RUN case "${TARGETARCH}" in \
        amd64) host=x86_64-unknown-linux-gnu; sha256=${RUSTUP_SHA256_AMD64} ;; \
        arm64) host=aarch64-unknown-linux-gnu; sha256=${RUSTUP_SHA256_ARM64} ;; \
        *) echo "no build for ${TARGETARCH}" >&2; exit 1 ;; \
    esac; \
    curl --fail --silent --show-error --location --output rustup-init \
        "https://static.rust-lang.org/rustup/archive/${RUSTUP_VERSION}/${host}/rustup-init"; \
    echo "${sha256}  rustup-init" | sha256sum --check --strict; \
    chmod 755 rustup-init; \
    ./rustup-init -y --no-modify-path --profile minimal --default-toolchain "${RUST_VERSION}"
ENV PATH=/root/.cargo/bin:$PATH

WORKDIR /lifeboat
COPY tests/stack tests/stack
# The same client tools as in the layers: PostgreSQL's with TLS.
RUN case "${TARGETARCH}" in amd64) arch=x86_64 ;; *) arch=arm64 ;; esac; \
    tests/stack/layer "${arch}" && mv target/layer/18-"${arch}" /client-tools

COPY . .
# What cargo makes of functions/ is the list of functions: nothing is named twice.
RUN cargo build --release --locked -p lifeboat-functions -p lifeboat-cli --bins; \
    mkdir -p /programs/bin /programs/functions; \
    mv target/release/lifeboat /programs/bin; \
    find target/release -maxdepth 1 -type f -executable -exec mv {} /programs/functions \;

FROM ${AMAZON_LINUX}-minimal
COPY --from=build /client-tools /opt/lifeboat/client-tools
COPY --from=build /programs /opt/lifeboat
COPY image/entrypoint.sh /opt/lifeboat/entrypoint
ENV PATH=/opt/lifeboat/bin:$PATH \
    LIFEBOAT_CLIENT_TOOLS=/opt/lifeboat/client-tools/bin \
    HOME=/tmp
# A number, so that Kubernetes can see that it is not root. Lambda runs images under an account of its own.
USER 65532:65532
WORKDIR /tmp
# A task's root is read-only and a volume lies over /tmp: on Fargate it gets its owner and mode from here.
VOLUME ["/tmp"]
HEALTHCHECK --interval=1m --timeout=5s CMD ["/opt/lifeboat/bin/lifeboat", "--version"]
ENTRYPOINT ["/opt/lifeboat/entrypoint"]
CMD ["--help"]
